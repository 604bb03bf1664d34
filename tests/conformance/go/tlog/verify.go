// Verify reads claims as JSON on standard input and checks each with golang.org/x/mod/sumdb/tlog and note.
// It prints one line a claim that it judges otherwise than the claim says, and then how many it judged.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type inclusion struct {
	Index, Size int64
	Root, Leaf  []byte
	Proof       [][]byte
	Good        bool
}

type consistency struct {
	OldSize, NewSize int64
	OldRoot, NewRoot []byte
	Proof            [][]byte
	Good             bool
}

type signed struct {
	Name  string
	Note  []byte
	Vkeys []string
	Good  bool
}

type tiled struct {
	Size       int64
	Root       []byte
	Tiles      map[string][]byte
	URL        string // of a log: tiles that are not given are read from there, without a key
	Inclusions []inclusion
	Histories  []consistency
}

type claims struct {
	Entries     [][]byte // of one tree, in order
	Roots       [][]byte // roots[n] is that of the first n entries, from 1
	Inclusion   []inclusion
	Consistency []consistency
	Notes       []signed
	Tiled       tiled
	Checkpoint  string // a checkpoint's text
	Served      []served
}

var judged, wrong int

func judge(holds bool, format string, args ...any) {
	judged++
	if !holds {
		wrong++
		fmt.Printf(format+"\n", args...)
	}
}

func hash(b []byte) (h tlog.Hash) {
	if len(b) != tlog.HashSize {
		panic(fmt.Sprintf("a hash of %d bytes", len(b)))
	}
	copy(h[:], b)
	return h
}

func hashes(list [][]byte) (out []tlog.Hash) {
	for _, b := range list {
		out = append(out, hash(b))
	}
	return out
}

type store []tlog.Hash

func (s store) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		if i >= int64(len(s)) {
			return nil, fmt.Errorf("no hash %d", i)
		}
		out = append(out, s[i])
	}
	return out, nil
}

func checkRoots(c *claims) {
	var s store
	for n, entry := range c.Entries {
		added, err := tlog.StoredHashes(int64(n), entry, s)
		if err != nil {
			panic(err)
		}
		s = append(s, added...)
		root, err := tlog.TreeHash(int64(n+1), s)
		judge(err == nil && root == hash(c.Roots[n+1]), "root of %d entries: %v %v", n+1, root, err)
	}
}

func checkProofs(ins []inclusion, cons []consistency) {
	for _, p := range ins {
		err := tlog.CheckRecord(hashes(p.Proof), p.Size, hash(p.Root), p.Index, hash(p.Leaf))
		judge((err == nil) == p.Good, "leaf %d in %d: %v, claimed %v", p.Index, p.Size, err, p.Good)
	}
	for _, p := range cons {
		err := tlog.CheckTree(hashes(p.Proof), p.NewSize, hash(p.NewRoot), p.OldSize, hash(p.OldRoot))
		judge((err == nil) == p.Good, "size %d to %d: %v, claimed %v", p.OldSize, p.NewSize, err, p.Good)
	}
}

type tileReader struct {
	given map[string][]byte
	url   string
}

// read gives a tile that was given, or gets it as any tlog-tiles client does.
func (t tileReader) read(path string) ([]byte, error) {
	if data, ok := t.given[path]; ok {
		return data, nil
	}
	if t.url == "" {
		return nil, fmt.Errorf("no tile %s", path)
	}
	answer, err := http.Get(t.url + "/" + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("tile %s: %s", path, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

func (t tileReader) Height() int                     { return 8 }
func (t tileReader) SaveTiles([]tlog.Tile, [][]byte) {}
func (t tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, tile := range tiles {
		// sumdb writes the tile's height into its path; tlog-tiles does not
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := t.read(path)
		if err != nil {
			return nil, err
		}
		out = append(out, data)
	}
	return out, nil
}

// checkTiled lets Go make proofs out of our tiles and compares them with ours.
func checkTiled(t *tiled) {
	reader := tlog.TileHashReader(tlog.Tree{N: t.Size, Hash: hash(t.Root)}, tileReader{t.Tiles, t.URL})
	for _, p := range t.Inclusions {
		proof, err := tlog.ProveRecord(t.Size, p.Index, reader)
		judge(err == nil && fmt.Sprint(proof) == fmt.Sprint(tlog.RecordProof(hashes(p.Proof))),
			"inclusion of %d out of tiles: %v", p.Index, err)
	}
	for _, p := range t.Histories {
		proof, err := tlog.ProveTree(t.Size, p.OldSize, reader)
		judge(err == nil && fmt.Sprint(proof) == fmt.Sprint(tlog.TreeProof(hashes(p.Proof))),
			"consistency from %d out of tiles: %v", p.OldSize, err)
	}
	checkProofs(t.Inclusions, t.Histories)
}

func checkNotes(list []signed) {
	for _, s := range list {
		var known []note.Verifier
		for _, vkey := range s.Vkeys {
			v, err := note.NewVerifier(vkey)
			if err != nil {
				judge(false, "%s: verifier key: %v", s.Name, err)
				continue
			}
			known = append(known, v)
		}
		_, err := note.Open(s.Note, note.VerifierList(known...))
		judge((err == nil) == s.Good, "note %q: %v, claimed %v", s.Name, err, s.Good)
	}
}

// checkText compares our checkpoint's size and root with what sumdb reads behind a line of its own.
func checkText(text string, t *tiled) {
	_, rest, _ := strings.Cut(text, "\n")
	tree, err := tlog.ParseTree([]byte("go.sum database tree\n" + rest))
	judge(err == nil && tree.N == t.Size && bytes.Equal(tree.Hash[:], t.Root), "checkpoint text: %v", err)
	judge(strings.HasSuffix(text, base64.StdEncoding.EncodeToString(t.Root)+"\n"), "checkpoint root")
}

func main() {
	var c claims
	decoder := json.NewDecoder(os.Stdin)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		panic(err)
	}
	checkRoots(&c)
	checkProofs(c.Inclusion, c.Consistency)
	if c.Tiled.Size > 0 {
		checkTiled(&c.Tiled)
	}
	checkNotes(c.Notes)
	if c.Checkpoint != "" {
		checkText(c.Checkpoint, &c.Tiled)
	}
	for _, s := range c.Served {
		checkServed(&s)
	}
	fmt.Printf("judged %d\n", judged)
	if wrong > 0 {
		os.Exit(1)
	}
}
