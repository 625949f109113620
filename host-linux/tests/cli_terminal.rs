//! What the program shows on a terminal, its help, and what is made of that.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::*;
use serde_json::json;

/// A terminal of this many columns, as far as progress bars need one.
struct Screen {
    columns: usize,
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
    /// Every line that was ever shown, as it was when the cursor left it or it was cleared.
    shown: Vec<String>,
    styled: bool,
    hidden_cursor: bool,
}

impl Screen {
    fn new(columns: usize) -> Self {
        Self {
            columns,
            lines: vec![Vec::new()],
            row: 0,
            column: 0,
            shown: Vec::new(),
            styled: false,
            hidden_cursor: false,
        }
    }

    fn note(&mut self) {
        let line: String = self.lines[self.row].iter().collect();
        if !line.trim().is_empty() {
            self.shown.push(line);
        }
    }

    fn down(&mut self) {
        self.note();
        self.row += 1;
        if self.row == self.lines.len() {
            self.lines.push(Vec::new());
        }
    }

    fn take(&mut self, text: &str) {
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            match character {
                '\r' => self.column = 0,
                '\n' => self.down(),
                '\x1b' => {
                    assert_eq!(rest.next(), Some('['));
                    let mut number = String::new();
                    let end = loop {
                        match rest.next().unwrap() {
                            digit @ ('0'..='9' | ';' | '?') => number.push(digit),
                            end => break end,
                        }
                    };
                    let count = number.parse().unwrap_or(1);
                    match (end, number.as_str()) {
                        ('A', _) => self.row = self.row.saturating_sub(count),
                        ('B', _) => (0..count).for_each(|_| self.down()),
                        ('K', "2") => {
                            self.note();
                            self.lines[self.row].clear();
                        }
                        ('m', _) => self.styled = true,
                        ('l', "?25") => self.hidden_cursor = true,
                        ('h', "?25") => self.hidden_cursor = false,
                        other => panic!("{other:?}"),
                    }
                }
                character => {
                    if self.column == self.columns {
                        self.down();
                        self.column = 0;
                    }
                    let line = &mut self.lines[self.row];
                    line.resize(line.len().max(self.column + 1), ' ');
                    line[self.column] = character;
                    self.column += 1;
                }
            }
        }
    }

    /// What is on the screen at the end.
    fn left(&self) -> Vec<String> {
        self.lines
            .iter()
            .map(|line| line.iter().collect::<String>().trim_end().to_owned())
            .filter(|line| !line.is_empty())
            .collect()
    }
}

/// Runs a shell command on a terminal; `None` without the tool for that.
fn on_terminal(columns: usize, environment: &str, command: &str) -> Option<Screen> {
    if !has("script") {
        println!("skipped: needs script");
        return None;
    }
    let program = env!("CARGO_BIN_EXE_erofs-unpack");
    let command = format!(
        "stty cols {columns} rows 30; unset NO_COLOR; {environment} PROGRAM='{program}'; {command}"
    );
    let output = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("TERM", "xterm-256color")
        .env("SHELL", "/bin/sh")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let mut screen = Screen::new(columns);
    screen.take(&String::from_utf8(output.stdout).unwrap());
    Some(screen)
}

/// A shell command that brings a file in pieces, slowly.
fn slowly(path: &Path) -> String {
    format!(
        "(for i in 0 1 2 3 4 5; do dd if='{}' bs=100000 skip=$i count=1 2>/dev/null; sleep 0.15; done)",
        path.display()
    )
}

#[test]
fn bars_are_whole_lines_that_leave_nothing() {
    let dir = Dir::new();
    let content = image(1, 146);
    let plain = dir.write("plain", &content);
    for (columns, environment) in [(80, ""), (200, ""), (80, "export NO_COLOR=1;"), (40, "")] {
        // A blob of unknown size, and one that fails at its end.
        let good = format!(
            "{} | $PROGRAM unpack - --verify-only --media-type {EROFS} -q; \
             {} | $PROGRAM unpack - --verify-only --media-type {EROFS} --diff-id {}",
            slowly(&plain),
            slowly(&plain),
            sha256(&content)
        );
        let Some(screen) = on_terminal(columns, environment, &good) else {
            return;
        };
        let verified = format!("verified {}", sha256(&content));
        assert_eq!(screen.left().concat(), verified, "{columns}");
        assert!(!screen.hidden_cursor);
        assert_eq!(screen.styled, environment.is_empty());
        let bars: Vec<_> = screen
            .shown
            .iter()
            .filter(|line| line.contains("B/s"))
            .collect();
        assert!(bars.len() > 2, "{:#?}", screen.shown);
        for bar in &bars {
            assert!(bar.starts_with("- "), "{bar}");
        }
        let bad = format!(
            "{} | $PROGRAM unpack - --verify-only --media-type {EROFS} --diff-id {}",
            slowly(&plain),
            sha256(b"")
        );
        let screen = on_terminal(columns, environment, &bad).unwrap();
        let left = screen.left().concat();
        assert!(left.starts_with("erofs-unpack: -: "), "{left}");
        assert!(left.ends_with(&sha256(b"")), "{left}");
        assert!(screen.shown.iter().any(|line| line.contains("B/s")));
    }
}

#[test]
fn each_layer_has_a_bar_and_all_have_one() {
    let dir = Dir::new();
    if !has("strace") {
        println!("skipped: needs strace");
        return;
    }
    let layers: Vec<Layer> = (0..4)
        .map(|seed| Layer::new(EROFS, &image(seed, 1500)))
        .collect();
    let mut layout = Layout::new(dir.path("layout"));
    layout.add(&layers, json!({}));
    let out = dir.path("out");
    for (columns, jobs) in [(80, 2), (200, 4)] {
        for status in ["unpacked", "kept"] {
            // Slow reading, so that there is something to see.
            let command = format!(
                "strace -f -qq -o /dev/null -e inject=pread64:delay_enter=20000 -e signal=none \
                 $PROGRAM unpack '{}' -o '{}' -j{jobs}",
                layout.path.display(),
                out.display()
            );
            let Some(screen) = on_terminal(columns, "", &command) else {
                return;
            };
            let left = screen.left().concat();
            let expected: String = (1..)
                .zip(&layers)
                .map(|(number, layer)| {
                    format!(
                        "layer {number}: {status} {} {}",
                        layer.file(number),
                        layer.diff_id
                    )
                })
                .collect();
            assert_eq!(left, expected);
            let bars: Vec<_> = screen
                .shown
                .iter()
                .filter(|line| line.contains("B/s"))
                .collect();
            for bar in &bars {
                assert!(
                    bar.starts_with("layer ") || bar.starts_with("total   ["),
                    "{bar}"
                );
                assert!(bar.chars().count() <= columns);
            }
            let has_bar = |name: &str| bars.iter().any(|line| line.starts_with(name));
            assert!(has_bar("total   ["), "{bars:#?}");
            for number in 1..=4 {
                assert!(has_bar(&format!("layer {number} [")), "{bars:#?}");
            }
        }
        fs::remove_dir_all(&out).unwrap();
    }
    // Nobody asked for bars.
    let quiet = format!(
        "$PROGRAM unpack '{}' --verify-only -q",
        layout.path.display()
    );
    let screen = on_terminal(80, "", &quiet).unwrap();
    assert_eq!(screen.left().len(), 0);
    assert_eq!(screen.shown.len(), 0);
}

#[test]
fn an_image_does_not_go_to_a_terminal() {
    let dir = Dir::new();
    let blob = dir.write("blob", image(1, 1));
    let command = format!("$PROGRAM unpack '{}' -o -; echo $?", blob.display());
    let Some(screen) = on_terminal(120, "", &command) else {
        return;
    };
    assert_eq!(
        screen.left(),
        [
            "erofs-unpack: -o -: stdout is a terminal: expected a pipe or a file",
            "2"
        ]
    );
}

#[test]
fn help_tells_the_exit_codes() {
    let codes = "Exit codes:
  0  done, perhaps with warnings
  1  refused: the content is invalid, mismatched, unsupported or over a limit
  2  wrong usage
  3  the environment failed: I/O, a missing file, no permission, a closed pipe
A signal ends the program as that signal does.
";
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["unpack", "--help"],
        &["unpack", "-h"],
        &["inspect", "--help"],
        &["help", "unpack"],
    ] {
        let run = run(arguments);
        assert!(run.done().ends_with(codes), "{arguments:?} {}", run.text());
        assert!(run.text().lines().all(|line| line.chars().count() <= 100));
    }
    let version = run(["--version"]);
    let expected = format!("erofs-unpack {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(version.done(), expected);
    let nothing = run::<&str>([]);
    assert_eq!((nothing.code(), nothing.text()), (2, ""));
    // Every limit has a flag, and help names its default.
    let text = run(["unpack", "--help"]).text().to_owned();
    for flag in [
        "--max-image-size",
        "--max-window",
        "--max-archive-members",
        "--max-layers",
    ] {
        let place = text.find(flag).unwrap();
        assert!(text[place..].contains("[default: "), "{flag}");
    }
}

#[test]
fn completions_are_scripts() {
    for (shell, check) in [
        ("bash", Some("bash")),
        ("zsh", Some("zsh")),
        ("fish", Some("fish")),
        ("elvish", None),
        ("powershell", None),
    ] {
        let run = run(["completions", shell]);
        let text = run.done();
        for word in ["unpack", "verify-only", "max-image-size", "completions"] {
            assert!(text.contains(word), "{shell} {word}");
        }
        let Some(check) = check.filter(|check| has(check)) else {
            continue;
        };
        let checked = run_with(Command::new(check).arg("-n"), text.as_bytes());
        assert_eq!(
            (checked.code(), checked.stderr.as_str()),
            (0, ""),
            "{shell}"
        );
    }
    // What bash does with them.
    let script = run(["completions", "bash"]);
    let asked = format!(
        "{}\nfunction=$(complete -p erofs-unpack | sed 's/.* -F \\([^ ]*\\).*/\\1/')
         ask() {{ COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1))
         $function erofs-unpack \"${{@: -1}}\" \"${{@: -2:1}}\"; echo \"${{COMPREPLY[@]}}\"; }}
         ask erofs-unpack ins
         ask erofs-unpack unpack --verify
         ask erofs-unpack unpack --policy s
         ask erofs-unpack inspect --js
         ask erofs-unpack cache ve
         ask erofs-unpack cache put --dm",
        script.text()
    );
    let completed = run_with(&mut Command::new("bash"), asked.as_bytes());
    assert_eq!(
        completed.done(),
        "inspect\n--verify-only\nstrict\n--json\nverify\n--dm-verity\n"
    );
}

#[test]
fn man_pages_are_complete() {
    let dir = Dir::new();
    let folder = dir.path("man");
    for _ in 0..2 {
        let run = run(args!["man", folder]);
        assert_eq!((run.done(), run.stderr.as_str()), ("", ""));
    }
    // The program's own page, and one for each command that is told.
    let commands = |of: &str| -> Vec<String> {
        let help = run(of.split_whitespace().chain(["--help"]));
        help.done()
            .lines()
            .skip_while(|line| *line != "Commands:")
            .skip(1)
            .map_while(|line| line.split_whitespace().next())
            .filter(|name| *name != "help")
            .map(|name| format!("{of} {name}").trim().to_owned())
            .collect()
    };
    let mut pages: Vec<String> = ["", "cache", "index", "verity"]
        .map(commands)
        .concat()
        .iter()
        .map(|command| format!("erofs-unpack-{}.1", command.replace(' ', "-")))
        .collect();
    pages.push("erofs-unpack.1".to_owned());
    pages.sort();
    assert!(pages.len() > 4, "{pages:?}");
    assert_eq!(names(&folder), pages);
    for page in pages {
        let page = fs::read_to_string(folder.join(page)).unwrap();
        let title = page.lines().find(|line| line.starts_with(".TH")).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        let end = format!(" 1 {version} erofs-unpack \"User Commands\"");
        assert!(title.trim_end().ends_with(&end), "{title}");
        for section in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "\"EXIT STATUS\"",
        ] {
            assert!(
                page.contains(&format!(".SH {section}\n")),
                "{section} {page}"
            );
        }
        assert!(page.contains("a closed pipe"));
        assert!(page.contains("A signal ends the program"));
    }
    let failed = run(args!["man", dir.path("no/such")]);
    assert!(
        failed
            .line(3)
            .contains("no/such: cannot make the directory: ")
    );
    let file = dir.write("file", "");
    assert!(
        run(args!["man", file])
            .line(3)
            .contains("cannot write: Not a directory")
    );
}

#[test]
fn memory_does_not_grow_with_the_layer() {
    if !has("/usr/bin/time") {
        println!("skipped: needs /usr/bin/time");
        return;
    }
    const MIB: u64 = 1 << 20;
    let dir = Dir::new();
    let image = image(1, 16 << 10);
    // libzstd's level 3 declares a window of 2 MiB.
    let window = 2 * MIB;
    let cases = [
        ("plain", image.clone(), 0),
        ("gzip", gzip(&image), 0),
        ("zstd", zstd(&image), window),
    ];
    for (name, blob, window) in cases {
        let path = dir.write(name, blob);
        for output in [
            args!["-o", dir.path("out"), "--force"],
            args!["--verify-only"],
        ] {
            let log = dir.path("log");
            let mut command = Command::new("/usr/bin/time");
            command
                .args(["-f", "%M", "-o"])
                .arg(&log)
                .arg(env!("CARGO_BIN_EXE_erofs-unpack"))
                .args([args!["unpack", "-q", path], output].concat());
            run_with(&mut command, b"").done();
            let kib: u64 = fs::read_to_string(&log).unwrap().trim().parse().unwrap();
            println!("{name}: {kib} KiB");
            assert!(kib * 1024 <= 32 * MIB + window, "{name}: {kib} KiB");
        }
    }
}
