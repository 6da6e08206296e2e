package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// disk is what SQLite does to the files of one directory, in order. It is fed
// by a VFS in front of SQLite's own, which is made the default of this process.
//
// The model of a power cut: a write is safe once a sync of its file, begun
// after the write had ended, has ended too. Any other write may have reached
// the platter or not, or some of its sectors only; so may a change of the
// file's length. A deletion is safe when its directory was synced: at once, or
// by SQLite's first sync of a log or journal that it has made.
type disk struct {
	dir string

	mu    sync.Mutex
	ops   []op
	bytes int
}

type kind uint8

const (
	write kind = iota
	truncate
	syncBegins
	syncEnds // at: the place where it began
	remove
	syncDir
	mark // something outside happened: what is in note
)

// op is one thing that happened.
type op struct {
	kind kind
	file string
	at   int64 // offset, length, or place
	data []byte
	safe bool // of remove
	note any
}

// add appends an op and returns its place.
func (d *disk) add(o op) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ops = append(d.ops, o)
	d.bytes += len(o.data)
	return len(d.ops) - 1
}

// mark notes that something happened outside, behind all writes so far.
func (d *disk) mark(note any) { d.add(op{kind: mark, note: note}) }

// record makes all that SQLite does in dir from now on part of d, until the
// test ends. There is one at a time in a process.
func record(tb testing.TB, dir string) *disk {
	tb.Helper()
	d := &disk{dir: filepath.Clean(dir) + "/"}
	vfs.register(tb)
	vfs.mu.Lock()
	vfs.disk = d
	vfs.mu.Unlock()
	tb.Cleanup(func() {
		vfs.mu.Lock()
		vfs.disk = nil
		vfs.mu.Unlock()
	})
	return d
}

// shim is the VFS. What it keeps in SQLite's memory are function values that
// belong to functions, not to closures, so Go never moves or frees them.
type shim struct {
	once  sync.Once
	inner uintptr // *sqlite3_vfs: the one behind

	mu      sync.Mutex
	disk    *disk
	files   map[uintptr]file    // by *sqlite3_file
	methods map[uintptr]uintptr // our method tables by those of the inner VFS
}

type file struct {
	disk  *disk
	name  string
	inner *sqlite3.Tsqlite3_io_methods
	fresh bool // a log or journal just made: its first sync syncs the directory too
}

// journals are the flags of files that come and go.
const journals = sqlite3.SQLITE_OPEN_WAL | sqlite3.SQLITE_OPEN_MAIN_JOURNAL | sqlite3.SQLITE_OPEN_SUPER_JOURNAL

var vfs = shim{files: map[uintptr]file{}, methods: map[uintptr]uintptr{}}

func (s *shim) register(tb testing.TB) {
	s.once.Do(func() {
		tls := libc.NewTLS() // for good: the VFS stays
		sqlite3.Xsqlite3_initialize(tls)
		s.inner = sqlite3.Xsqlite3_vfs_find(tls, 0)
		name, err := libc.CString("recorder")
		if err != nil {
			tb.Fatal(err)
		}
		outer := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_vfs{})))
		v := at[sqlite3.Tsqlite3_vfs](outer)
		*v = *at[sqlite3.Tsqlite3_vfs](s.inner)
		v.FpNext, v.FzName = 0, name
		v.FxOpen = pointer(shimOpen)
		v.FxDelete = pointer(shimDelete)
		if rc := sqlite3.Xsqlite3_vfs_register(tls, outer, 1); rc != sqlite3.SQLITE_OK {
			tb.Fatalf("register VFS: %d", rc)
		}
	})
}

// at is what lies at an address of SQLite's memory.
func at[T any](p uintptr) *T { return *(**T)(unsafe.Pointer(&p)) }

// pointer is how a function stands in SQLite's tables; call is the reverse.
func pointer[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

func call[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&p)) }

type (
	openFunc     = func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32
	deleteFunc   = func(*libc.TLS, uintptr, uintptr, int32) int32
	closeFunc    = func(*libc.TLS, uintptr) int32
	writeFunc    = func(*libc.TLS, uintptr, uintptr, int32, int64) int32
	truncateFunc = func(*libc.TLS, uintptr, int64) int32
	syncFunc     = func(*libc.TLS, uintptr, int32) int32
)

func shimOpen(tls *libc.TLS, _, zName, pFile uintptr, flags int32, pOut uintptr) int32 {
	rc := call[openFunc](at[sqlite3.Tsqlite3_vfs](vfs.inner).FxOpen)(tls, vfs.inner, zName, pFile, flags, pOut)
	f := at[sqlite3.Tsqlite3_file](pFile)
	if rc != sqlite3.SQLITE_OK || zName == 0 || f.FpMethods == 0 {
		return rc
	}
	vfs.mu.Lock()
	defer vfs.mu.Unlock()
	name, ok := vfs.disk.has(libc.GoString(zName))
	if !ok {
		return rc
	}
	ours := vfs.methods[f.FpMethods]
	if ours == 0 {
		ours = libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_io_methods{})))
		m := at[sqlite3.Tsqlite3_io_methods](ours)
		*m = *at[sqlite3.Tsqlite3_io_methods](f.FpMethods)
		m.FxClose, m.FxWrite = pointer(shimClose), pointer(shimWrite)
		m.FxTruncate, m.FxSync = pointer(shimTruncate), pointer(shimSync)
		vfs.methods[f.FpMethods] = ours
	}
	vfs.files[pFile] = file{
		disk: vfs.disk, name: name, inner: at[sqlite3.Tsqlite3_io_methods](f.FpMethods),
		fresh: flags&sqlite3.SQLITE_OPEN_CREATE != 0 && flags&journals != 0,
	}
	f.FpMethods = ours
	return rc
}

// has says whether a path is recorded, and under which name.
func (d *disk) has(path string) (name string, ok bool) {
	if d == nil {
		return "", false
	}
	return strings.CutPrefix(path, d.dir)
}

func shimDelete(tls *libc.TLS, _, zName uintptr, syncDir int32) int32 {
	rc := call[deleteFunc](at[sqlite3.Tsqlite3_vfs](vfs.inner).FxDelete)(tls, vfs.inner, zName, syncDir)
	vfs.mu.Lock()
	d := vfs.disk
	vfs.mu.Unlock()
	if name, ok := d.has(libc.GoString(zName)); ok && rc == sqlite3.SQLITE_OK {
		d.add(op{kind: remove, file: name, safe: syncDir != 0})
	}
	return rc
}

func (s *shim) file(pFile uintptr) file {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files[pFile]
}

func shimClose(tls *libc.TLS, pFile uintptr) int32 {
	f := vfs.file(pFile)
	vfs.mu.Lock()
	delete(vfs.files, pFile)
	vfs.mu.Unlock()
	return call[closeFunc](f.inner.FxClose)(tls, pFile)
}

func shimWrite(tls *libc.TLS, pFile, buf uintptr, n int32, offset int64) int32 {
	f := vfs.file(pFile)
	rc := call[writeFunc](f.inner.FxWrite)(tls, pFile, buf, n, offset)
	if rc == sqlite3.SQLITE_OK {
		data := append([]byte(nil), unsafe.Slice(at[byte](buf), int(n))...)
		f.disk.add(op{kind: write, file: f.name, at: offset, data: data})
	}
	return rc
}

func shimTruncate(tls *libc.TLS, pFile uintptr, size int64) int32 {
	f := vfs.file(pFile)
	rc := call[truncateFunc](f.inner.FxTruncate)(tls, pFile, size)
	if rc == sqlite3.SQLITE_OK {
		f.disk.add(op{kind: truncate, file: f.name, at: size})
	}
	return rc
}

func shimSync(tls *libc.TLS, pFile uintptr, flags int32) int32 {
	f := vfs.file(pFile)
	began := f.disk.add(op{kind: syncBegins, file: f.name})
	rc := call[syncFunc](f.inner.FxSync)(tls, pFile, flags)
	if rc != sqlite3.SQLITE_OK {
		return rc
	}
	f.disk.add(op{kind: syncEnds, file: f.name, at: int64(began)})
	if f.fresh {
		f.disk.add(op{kind: syncDir, at: int64(began)})
		vfs.mu.Lock()
		f.fresh = false
		vfs.files[pFile] = f
		vfs.mu.Unlock()
	}
	return rc
}

// sector is what a disk writes whole or not at all.
const sector = 512

// picture says how a power cut came out.
type picture struct {
	files                 map[string][]byte
	ghosts                map[string]bool // whose deletion was lost: what came under the name afterwards is lost as well
	kept, dropped, torn   int             // writes that no sync covered
	notes                 []any
	checkpoint, truncated bool // the cut fell into a checkpoint; a length was in the balance
}

// cut makes the files as they may be found after a power cut right behind the
// first n ops.
func (d *disk) cut(n int, rng *rand.Rand) *picture {
	ops := d.ops[:n]
	safe := map[string]int{} // ops before this place are on the platter
	names := 0               // and so are deletions before this one
	for i := range ops {
		switch ops[i].kind {
		case syncEnds:
			safe[ops[i].file] = max(safe[ops[i].file], int(ops[i].at))
		case syncDir:
			names = int(ops[i].at)
		}
	}
	p := &picture{files: map[string][]byte{}, ghosts: map[string]bool{}}
	// How much survives differs: all, nothing, or anything between.
	luck := []float64{0, 0.1, 0.5, 0.9, 1}[rng.IntN(5)]
	for i := range ops {
		o := &ops[i]
		certain := i < safe[o.file]
		if p.ghosts[o.file] && o.kind != mark {
			continue
		}
		switch o.kind {
		case write:
			p.write(o, certain, luck, rng)
		case truncate:
			if certain || rng.Float64() < luck {
				p.truncate(o.file, o.at)
			}
			p.truncated = p.truncated || !certain
		case remove:
			if o.safe || i < names || rng.Float64() < luck {
				delete(p.files, o.file)
			} else {
				p.ghosts[o.file] = true
			}
		case mark:
			p.notes = append(p.notes, o.note)
		}
	}
	return p
}

func (p *picture) write(o *op, certain bool, luck float64, rng *rand.Rand) {
	switch {
	case certain:
		p.put(o.file, o.at, o.data)
	case rng.Float64() < 0.3: // torn
		p.torn++
		for from := 0; from < len(o.data); {
			to := min(len(o.data), from+sector-int((o.at+int64(from))%sector))
			if rng.Float64() < max(luck, 0.1) {
				p.put(o.file, o.at+int64(from), o.data[from:to])
			}
			from = to
		}
	case rng.Float64() < luck:
		p.kept++
		p.put(o.file, o.at, o.data)
	default:
		p.dropped++
	}
	if !certain && !strings.HasSuffix(o.file, "-wal") && !strings.HasSuffix(o.file, "-journal") {
		p.checkpoint = true
	}
}

func (p *picture) put(name string, offset int64, data []byte) {
	b := p.files[name]
	if need := int(offset) + len(data); need > len(b) {
		b = append(b, make([]byte, need-len(b))...)
	}
	copy(b[offset:], data)
	p.files[name] = b
}

func (p *picture) truncate(name string, size int64) {
	b := p.files[name]
	if int(size) <= len(b) {
		p.files[name] = b[:size:size]
		return
	}
	p.files[name] = append(b, make([]byte, int(size)-len(b))...)
}

// develop writes the files into a directory.
func (p *picture) develop(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, b := range p.files {
		if strings.Contains(name, "/") {
			return fmt.Errorf("a file in a directory of its own: %s", name)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}
