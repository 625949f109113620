// Says what a layer is, verifies it and lists its files, or writes one of them to stdout:
//
//	go run . MODULE LAYER [PATH]
//
// MODULE is erofs_unpack.wasm, which host-wasm/build makes; host-wasm/ABI.md says what the calls
// mean. It runs in wazero, which is Go alone, without cgo. Exit code 1: the layer is refused.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

const (
	unpacker = 1
	check    = 3
	reader   = 4
)

var (
	compressions = []string{"none", "gzip", "zstd"}
	types        = []string{"", "file", "directory", "character device", "block device", "pipe", "socket", "link"}
)

// refused says why the layer or image is refused.
type refused string

func (r refused) Error() string { return string(r) }

// guest is one instance of the module, with the image that it may read. Take a new one for each
// layer.
type guest struct {
	ctx    context.Context
	module api.Module
	image  []byte
}

func newGuest(ctx context.Context, wasm []byte) (*guest, error) {
	g := &guest{ctx: ctx}
	// WithMemoryLimitPages of a configuration bounds the memory, and WithCloseOnContextDone the time
	// by the context's deadline.
	runtime := wazero.NewRuntime(ctx)
	imports := runtime.NewHostModuleBuilder("erofs_unpack")
	imports.NewFunctionBuilder().WithFunc(g.readAt).Export("read_at")
	if _, err := imports.Instantiate(ctx); err != nil {
		return nil, err
	}
	module, err := runtime.Instantiate(ctx, wasm)
	if err != nil {
		return nil, err
	}
	g.module = module
	if version, err := g.call("version"); err != nil || version != 1 {
		return nil, errors.Join(err, fmt.Errorf("version %d of the interface", version))
	}
	return g, nil
}

// readAt is the import: the guest reads from the image.
func (g *guest) readAt(_ context.Context, module api.Module, offset uint64, address, length uint32) uint32 {
	size := uint64(len(g.image))
	if offset > size || uint64(length) > size-offset {
		return 1
	}
	if !module.Memory().Write(address, g.image[offset:offset+uint64(length)]) {
		return 1
	}
	return 0
}

// call calls an export, and gives what it returns as it is.
func (g *guest) call(name string, arguments ...uint64) (uint64, error) {
	results, err := g.module.ExportedFunction("eu_"+name).Call(g.ctx, arguments...)
	if err != nil {
		return 0, err
	}
	return results[0], nil
}

// status calls an export that has a handle first, and gives its status or why there is none.
func (g *guest) status(name string, handle uint64, arguments ...uint64) (uint32, error) {
	result, err := g.call(name, append([]uint64{handle}, arguments...)...)
	if err != nil {
		return 0, err
	}
	switch status := api.DecodeI32(result); {
	case status >= 0:
		return uint32(status), nil
	case status == -1:
		why, err := g.text(handle, 1)
		if err != nil {
			return 0, err
		}
		return 0, refused(why)
	default:
		return 0, fmt.Errorf("eu_%s: status %d", name, status)
	}
}

// buffer gives a copy of the first bytes of a buffer of the module.
func (g *guest) buffer(name string, length uint32) ([]byte, error) {
	address, err := g.call(name + "_address")
	if err != nil {
		return nil, err
	}
	view, ok := g.module.Memory().Read(uint32(address), length)
	if !ok {
		return nil, fmt.Errorf("the buffer for %s lies outside of the memory", name)
	}
	// The view is void when the memory grows.
	return bytes.Clone(view), nil
}

// put writes into the input buffer.
func (g *guest) put(data []byte) error {
	size, err := g.call("input_size")
	if err != nil {
		return err
	}
	address, err := g.call("input_address")
	if err != nil {
		return err
	}
	if uint64(len(data)) > size || !g.module.Memory().Write(uint32(address), data) {
		return errors.New("more than the input buffer holds")
	}
	return nil
}

// answer calls an export that leaves its answer in the buffer for answers.
func (g *guest) answer(name string, handle uint64, arguments ...uint64) ([]byte, error) {
	length, err := g.status(name, handle, arguments...)
	if err != nil {
		return nil, err
	}
	return g.buffer("answer", length)
}

func (g *guest) text(handle, key uint64) (string, error) {
	text, err := g.answer("get_text", handle, key)
	return string(text), err
}

func (g *guest) number(handle, key uint64) (uint64, error) {
	if _, err := g.status("get", handle, key); err != nil {
		return 0, err
	}
	return g.call("value")
}

// open makes a handle and sets one number of it.
func (g *guest) open(sort, key, value uint64) (uint64, error) {
	handle, err := g.call("open", sort)
	if err != nil {
		return 0, err
	}
	if api.DecodeI32(handle) < 0 {
		return 0, fmt.Errorf("eu_open: status %d", api.DecodeI32(handle))
	}
	if _, err := g.status("set", handle, key, value); err != nil {
		return 0, err
	}
	_, err = g.status("start", handle)
	return handle, err
}

// unpack unpacks a layer into the image; it gives its digest and diffID.
func (g *guest) unpack(layer io.Reader, compression int) (digest, diffID string, err error) {
	handle, err := g.open(unpacker, 1, uint64(compression))
	if err != nil {
		return "", "", err
	}
	size, err := g.call("input_size")
	if err != nil {
		return "", "", err
	}
	piece := make([]byte, size)
	for {
		length, err := layer.Read(piece)
		if length > 0 {
			if err := g.push(handle, piece[:length]); err != nil {
				return "", "", err
			}
		}
		if err == io.EOF {
			break
		} else if err != nil {
			return "", "", err
		}
	}
	if _, err := g.status("finish", handle); err != nil {
		return "", "", err
	}
	if digest, err = g.text(handle, 2); err != nil {
		return "", "", err
	}
	diffID, err = g.text(handle, 3)
	return digest, diffID, err
}

// push gives a piece of the layer to the unpacker. What comes out is not verified yet.
func (g *guest) push(handle uint64, piece []byte) error {
	if err := g.put(piece); err != nil {
		return err
	}
	length := uint64(len(piece))
	for start := uint64(0); ; {
		status, err := g.status("push", handle, start, length-start)
		if err != nil {
			return err
		}
		consumed, err := g.call("consumed")
		if err != nil {
			return err
		}
		produced, err := g.call("produced")
		if err != nil {
			return err
		}
		output, err := g.buffer("output", uint32(produced))
		if err != nil {
			return err
		}
		g.image = append(g.image, output...)
		start += consumed
		if start >= length && status != 2 {
			return nil
		}
	}
}

// check checks the image; it gives the findings' sentences, and whether it passed.
func (g *guest) check() (findings []string, passed bool, err error) {
	handle, err := g.open(check, 16, uint64(len(g.image)))
	if err != nil {
		return nil, false, err
	}
	verdict, err := g.status("check", handle)
	if err != nil {
		return nil, false, err
	}
	count, err := g.number(handle, 16)
	if err != nil {
		return nil, false, err
	}
	for index := range count {
		sentence, err := g.answer("finding_text", handle, index)
		if err != nil {
			return nil, false, err
		}
		findings = append(findings, string(sentence))
	}
	return findings, verdict == 0, nil
}

// find gives the nid of the file at a path, where there is one.
func (g *guest) find(handle uint64, path string) (nid uint64, found bool, err error) {
	if err := g.put([]byte(path)); err != nil {
		return 0, false, err
	}
	status, err := g.call("find", handle, uint64(len(path)))
	if err != nil || api.DecodeI32(status) != 0 {
		return 0, false, err
	}
	nid, err = g.call("value")
	return nid, err == nil, err
}

// walk calls visit for all that lies below a directory.
func (g *guest) walk(handle, nid uint64, path string, visit func(nid uint64, kind, path string) error) error {
	for place := uint64(0); ; {
		entries, err := g.answer("list", handle, nid, place)
		if err != nil {
			return err
		}
		next, err := g.call("value")
		if err != nil {
			return err
		}
		// Nid, type, length of the name, name.
		for len(entries) > 0 {
			end := 10 + int(entries[9])
			entry, kind := binary.LittleEndian.Uint64(entries), types[entries[8]]
			name := path + "/" + string(entries[10:end])
			entries = entries[end:]
			if err := visit(entry, kind, name); err != nil {
				return err
			}
			if kind == "directory" {
				if err := g.walk(handle, entry, name, visit); err != nil {
					return err
				}
			}
		}
		if place = next; place == 0 {
			return nil
		}
	}
}

// content writes the content of a regular file.
func (g *guest) content(handle, nid uint64, to io.Writer) error {
	size, err := g.call("output_size")
	if err != nil {
		return err
	}
	for offset := uint64(0); ; {
		length, err := g.status("read", handle, nid, offset, size)
		if err != nil || length == 0 {
			return err
		}
		piece, err := g.buffer("output", length)
		if err != nil {
			return err
		}
		if _, err := to.Write(piece); err != nil {
			return err
		}
		offset += uint64(length)
	}
}

// compression says how a layer looks to be compressed. The module has the last word.
func compression(head []byte) int {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		return 1
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}),
		len(head) == 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:], []byte{0x2a, 0x4d, 0x18}):
		return 2
	default:
		return 0
	}
}

// escaped is for names, which come from strangers: no control character reaches the terminal.
func escaped(name string) string {
	var text strings.Builder
	for _, sign := range strings.ToValidUTF8(name, "\uFFFD") {
		if sign < 32 || 127 <= sign && sign < 160 || sign == '\\' {
			fmt.Fprintf(&text, "\\x%02x", sign)
		} else {
			text.WriteRune(sign)
		}
	}
	return text.String()
}

func run(module, layer, path string) error {
	wasm, err := os.ReadFile(module)
	if err != nil {
		return err
	}
	ctx := context.Background()
	guest, err := newGuest(ctx, wasm)
	if err != nil {
		return err
	}
	file, err := os.Open(layer)
	if err != nil {
		return err
	}
	defer file.Close()
	buffered := bufio.NewReader(file)
	head, err := buffered.Peek(4)
	if err != nil && err != io.EOF {
		return err
	}
	kind := compression(head)
	digest, diffID, err := guest.unpack(buffered, kind)
	if err != nil {
		return err
	}
	findings, passed, err := guest.check()
	if err != nil {
		return err
	}
	for _, sentence := range findings {
		fmt.Fprintln(os.Stderr, sentence)
	}
	if !passed {
		return refused("the image is refused")
	}
	handle, err := guest.open(reader, 16, uint64(len(guest.image)))
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	if path != "" {
		nid, found, err := guest.find(handle, path)
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("%s: no such file in the image", path)
		}
		if err := guest.content(handle, nid, out); err != nil {
			return err
		}
		return out.Flush()
	}
	inodes, err := guest.number(handle, 5)
	if err != nil {
		return err
	}
	root, err := guest.number(handle, 6)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "compression: %s\ndigest: %s\ndiffID: %s\n", compressions[kind], digest, diffID)
	fmt.Fprintf(out, "image: %d bytes, %d inodes\n", len(guest.image), inodes)
	err = guest.walk(handle, root, "", func(nid uint64, kind, name string) error {
		if kind == "link" {
			target, err := guest.answer("link", handle, nid)
			if err != nil {
				return err
			}
			name += " -> " + string(target)
		}
		_, err := fmt.Fprintf(out, "%-9s %s\n", kind, escaped(name))
		return err
	})
	return errors.Join(err, out.Flush())
}

func main() {
	if len(os.Args) != 3 && len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: layer MODULE LAYER [PATH]")
		os.Exit(2)
	}
	err := run(os.Args[1], os.Args[2], strings.Join(os.Args[3:], ""))
	var why refused
	switch {
	case err == nil:
	case errors.As(err, &why):
		fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[2], err)
		os.Exit(1)
	default:
		fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[2], err)
		os.Exit(3)
	}
}
