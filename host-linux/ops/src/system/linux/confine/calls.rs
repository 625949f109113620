//! seccomp: which system calls can be made.

use super::State;
use crate::system::Purpose;

/// Leaves all threads the system calls of the work.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) use filter::restrict;

/// The list is for processors that it was written for.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn restrict(_: Purpose) -> Result<State, core::convert::Infallible> {
    Ok(State::Absent("not for this processor"))
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod filter {
    use std::collections::BTreeMap;
    use std::io;

    use libc::c_long;
    use rustix::io::Errno;
    use seccompiler::{
        BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp,
        SeccompCondition, SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
    };

    use super::{Purpose, State};

    /// Calls that are let through whatever their arguments are. What they can do is bounded by
    /// the files that are open and by Landlock.
    #[rustfmt::skip]
    const CALLS: &[c_long] = &[
        // Open files.
        libc::SYS_read, libc::SYS_readv, libc::SYS_pread64, libc::SYS_preadv, libc::SYS_preadv2,
        libc::SYS_write, libc::SYS_writev, libc::SYS_pwrite64, libc::SYS_pwritev,
        libc::SYS_pwritev2, libc::SYS_lseek, libc::SYS_close, libc::SYS_close_range,
        libc::SYS_dup, libc::SYS_dup3, libc::SYS_fcntl, libc::SYS_flock, libc::SYS_ftruncate,
        libc::SYS_fallocate, libc::SYS_fadvise64, libc::SYS_fsync, libc::SYS_fdatasync,
        libc::SYS_sync_file_range, libc::SYS_copy_file_range, libc::SYS_sendfile,
        libc::SYS_splice, libc::SYS_ppoll, libc::SYS_fstat, libc::SYS_fstatfs, libc::SYS_fchmod,
        libc::SYS_getdents64,
        // Names.
        libc::SYS_openat, libc::SYS_openat2, libc::SYS_newfstatat, libc::SYS_statx,
        libc::SYS_readlinkat, libc::SYS_faccessat, libc::SYS_faccessat2, libc::SYS_getcwd,
        libc::SYS_mkdirat, libc::SYS_linkat, libc::SYS_unlinkat, libc::SYS_renameat,
        libc::SYS_renameat2,
        // Memory.
        libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise, libc::SYS_brk,
        libc::SYS_membarrier, libc::SYS_memfd_create,
        // Threads and signals.
        libc::SYS_futex, libc::SYS_set_robust_list, libc::SYS_rseq, libc::SYS_sigaltstack,
        libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn,
        libc::SYS_sched_yield, libc::SYS_sched_getaffinity, libc::SYS_exit, libc::SYS_exit_group,
        libc::SYS_restart_syscall,
        // What musl aborts with.
        #[cfg(target_env = "musl")] libc::SYS_tkill,
        // Time, chance, and who we are.
        libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_clock_nanosleep,
        libc::SYS_nanosleep, libc::SYS_gettimeofday, libc::SYS_getrandom, libc::SYS_getpid,
        libc::SYS_gettid, libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid,
        libc::SYS_getegid, libc::SYS_getrlimit, libc::SYS_getrusage, libc::SYS_sysinfo,
        libc::SYS_uname,
    ];

    /// The same under the names that other processors do without.
    #[cfg(target_arch = "x86_64")]
    #[rustfmt::skip]
    const OLD_CALLS: &[c_long] = &[
        libc::SYS_open, libc::SYS_stat, libc::SYS_lstat, libc::SYS_poll, libc::SYS_dup2,
        libc::SYS_readlink, libc::SYS_access, libc::SYS_mkdir, libc::SYS_rmdir, libc::SYS_link,
        libc::SYS_unlink, libc::SYS_rename, libc::SYS_getdents, libc::SYS_time,
    ];
    #[cfg(not(target_arch = "x86_64"))]
    const OLD_CALLS: &[c_long] = &[];

    /// What the files of an image take to be created.
    #[rustfmt::skip]
    const CREATING_CALLS: &[c_long] = &[
        libc::SYS_symlinkat, libc::SYS_mknodat, libc::SYS_fchown, libc::SYS_fchownat,
        libc::SYS_fchmodat, libc::SYS_utimensat,
        libc::SYS_setxattr, libc::SYS_lsetxattr, libc::SYS_fsetxattr,
        libc::SYS_getxattr, libc::SYS_lgetxattr, libc::SYS_fgetxattr,
        libc::SYS_removexattr, libc::SYS_lremovexattr, libc::SYS_fremovexattr,
        #[cfg(target_arch = "x86_64")] libc::SYS_chmod,
    ];

    /// What may be asked of devices and file systems: the size and kind of a terminal, and shared
    /// blocks. Anything else may be a driver's worst code, or write to the terminal's input.
    #[allow(
        clippy::unnecessary_cast,
        reason = "their type differs between C libraries"
    )]
    const REQUESTS: &[u64] = &[
        libc::TIOCGWINSZ as u64,
        libc::TCGETS as u64,
        libc::FICLONE as u64,
        libc::FICLONERANGE as u64,
    ];

    /// Leaves all threads the system calls of the work.
    ///
    /// A call that is not on the list does not exist: programs and libraries know what to do on a
    /// kernel that lacks one. To be killed instead would turn each new version of the C library
    /// into a risk.
    pub(in super::super) fn restrict(purpose: Purpose) -> Result<State, Error> {
        let program = compile(purpose).map_err(Error::Backend)?;
        match apply_filter_all_threads(&program) {
            Ok(()) => Ok(State::InForce(None)),
            Err(Error::Prctl(error) | Error::Seccomp(error)) if is_absence(&error) => {
                Ok(State::Absent("the system does not offer it"))
            }
            Err(error) => Err(error),
        }
    }

    /// How a kernel without seccomp answers, or another filter around it.
    fn is_absence(error: &io::Error) -> bool {
        matches!(
            Errno::from_io_error(error),
            Some(Errno::NOSYS | Errno::INVAL | Errno::PERM)
        )
    }

    #[cfg(target_arch = "x86_64")]
    const TARGET: TargetArch = TargetArch::x86_64;
    #[cfg(target_arch = "aarch64")]
    const TARGET: TargetArch = TargetArch::aarch64;

    fn compile(purpose: Purpose) -> Result<BpfProgram, BackendError> {
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
        let more = match purpose {
            Purpose::Verify => [].as_slice(),
            Purpose::Extract => CREATING_CALLS,
        };
        for call in CALLS.iter().chain(OLD_CALLS).chain(more) {
            rules.insert(*call, Vec::new());
        }
        for (call, conditions) in conditional()? {
            let rule = SeccompRule::new(conditions)?;
            rules.entry(call).or_default().push(rule);
        }
        SeccompFilter::new(
            rules,
            SeccompAction::Errno(Errno::NOSYS.raw_os_error().unsigned_abs()),
            SeccompAction::Allow,
            TARGET,
        )?
        .try_into()
    }

    /// Calls that are let through with some arguments. Several entries of one call are
    /// alternatives.
    fn conditional() -> Result<Vec<(c_long, Vec<SeccompCondition>)>, BackendError> {
        use SeccompCmpOp::{Eq, MaskedEq};
        let argument = |number, operator, value| {
            SeccompCondition::new(number, SeccompCmpArgLen::Qword, operator, value)
        };
        // The kernel looks at the lower half of it alone.
        let word = |number, operator, value| {
            SeccompCondition::new(number, SeccompCmpArgLen::Dword, operator, value)
        };
        let never_code = || argument(2, MaskedEq(libc::PROT_EXEC as u64), 0);
        let ourselves = || word(0, Eq, std::process::id().into());
        let mut calls = vec![
            (libc::SYS_mmap, vec![never_code()?]),
            (libc::SYS_mprotect, vec![never_code()?]),
            // Threads, never processes. clone3 has its flags in memory, where no filter can see
            // them; without it the C library takes this one.
            (
                libc::SYS_clone,
                vec![argument(
                    0,
                    MaskedEq(libc::CLONE_THREAD as u64),
                    libc::CLONE_THREAD as u64,
                )?],
            ),
            // To abort, and to end as a signal would.
            (libc::SYS_tgkill, vec![ourselves()?]),
            (libc::SYS_kill, vec![ourselves()?]),
            // Limits are asked for, not set.
            (libc::SYS_prlimit64, vec![argument(2, Eq, 0)?]),
            (
                libc::SYS_prctl,
                vec![word(0, Eq, libc::PR_SET_NAME as u64)?],
            ),
        ];
        for request in REQUESTS {
            calls.push((libc::SYS_ioctl, vec![word(1, Eq, *request)?]));
        }
        Ok(calls)
    }
}
