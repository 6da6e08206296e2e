package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// key says which piece of work a result is of.
type key struct {
	Work   string `json:"work"`
	Server string `json:"server"`
	Size   int    `json:"size"`
	Run    int    `json:"run"`
}

// figures by name, such as "complete, s".
type figures map[string]float64

// result is one finished piece of work.
type result struct {
	key
	Build   string    `json:"build"` // of the server
	Figures figures   `json:"figures"`
	Note    string    `json:"note,omitempty"` // why it is not complete
	Seconds float64   `json:"seconds"`
	At      time.Time `json:"at"`
}

func (r *result) names() []string { return slices.Sorted(maps.Keys(r.Figures)) }

// results is the file of them, a JSON object a line.
type results struct {
	path string
	file *os.File
	all  []result
	torn bool // the file ended within a line
}

// openResults reads what was finished before. What a program gave that has
// changed since is left out, and measured again.
func openResults(path string, kinds []*kind) (*results, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	r := &results{path: path}
	if err := r.read(kinds); err != nil {
		return nil, err
	}
	var err error
	if r.file, err = os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err == nil && r.torn {
		_, err = r.file.WriteString("\n")
	}
	if err != nil {
		return nil, fmt.Errorf("keep the figures: %w", err)
	}
	return r, nil
}

func (r *results) read(kinds []*kind) error {
	file, err := os.ReadFile(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the figures: %w", err)
	}
	r.torn = len(file) > 0 && file[len(file)-1] != '\n'
	stale := 0
	for line := range bytes.Lines(file) {
		var res result
		if json.Unmarshal(line, &res) != nil {
			continue // the last line of a run that was killed
		}
		i := slices.IndexFunc(kinds, func(k *kind) bool { return k.name == res.Server })
		if i >= 0 && kinds[i].build != res.Build {
			stale++
			continue
		}
		r.all = append(r.all, res)
	}
	if len(r.all)+stale > 0 {
		fmt.Printf("%s has %d figures of an earlier run, which are kept, and %d of other builds, which are measured again; remove it to begin anew\n",
			r.path, len(r.all), stale)
	}
	return nil
}

func (r *results) has(k key) bool {
	return slices.ContainsFunc(r.all, func(res result) bool { return res.key == k })
}

// incomplete reports whether a server did not complete a work with this number
// of people, or fewer.
func (r *results) incomplete(work, server string, size int) bool {
	return slices.ContainsFunc(r.all, func(res result) bool {
		return res.Work == work && res.Server == server && res.Size <= size && res.Note != ""
	})
}

// add keeps a result, at once and for good.
func (r *results) add(res result) error {
	r.all = append(r.all, res)
	b, err := json.Marshal(&res)
	if err == nil {
		_, err = r.file.Write(append(b, '\n'))
	}
	if err == nil {
		err = r.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("keep the figures: %w", err)
	}
	return nil
}

func (r *results) close() error { return r.file.Close() }

// finish puts the file of a run that is done aside: the next one begins anew.
func (r *results) finish() error { return os.Rename(r.path, r.path+".done") }

// of gives the runs of a piece of work, in order.
func (r *results) of(work, server string, size int) (list []result) {
	for _, res := range r.all {
		if res.Work == work && res.Server == server && res.Size == size {
			list = append(list, res)
		}
	}
	return list
}
