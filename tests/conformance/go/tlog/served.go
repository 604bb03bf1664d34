package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A log that is served over HTTP as tlog-tiles, and what is claimed of it.
type served struct {
	URL           string // of the log; tiles stand under it
	Authorization string
	Vkey          string
	Note          []byte      // its checkpoint
	Olds          [][]byte    // checkpoints from before, whose trees it must continue
	Entries       []int64     // indexes to look at
	Inclusions    []inclusion // our proofs of them
	Histories     []consistency
}

type httpTiles struct {
	of *served
}

func (t httpTiles) Height() int                     { return 8 }
func (t httpTiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (t httpTiles) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, tile := range tiles {
		data, err := t.of.get(strings.Replace(tile.Path(), "tile/8/", "tile/", 1))
		if err != nil {
			return nil, err
		}
		out = append(out, data)
	}
	return out, nil
}

func (s *served) get(path string) ([]byte, error) {
	request, err := http.NewRequest("GET", s.URL+"/"+path, nil)
	if err != nil {
		return nil, err
	}
	if s.Authorization != "" {
		request.Header.Set("Authorization", s.Authorization)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != 200 {
		err = fmt.Errorf("%s: %s", path, answer.Status)
	}
	return data, err
}

// open verifies a checkpoint; note.Open does not compare its first line with the key's name, so this does.
func (s *served) open(data []byte) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(s.Vkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	origin, rest, _ := strings.Cut(opened.Text, "\n")
	if origin != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("origin %q, key %q", origin, verifier.Name())
	}
	return tlog.ParseTree([]byte("go.sum database tree\n" + rest))
}

// entry reads one out of its bundle.
func (s *served) entry(index, size int64) ([]byte, error) {
	number := index / 256
	width := size - number*256
	if width > 256 {
		width = 256
	}
	tile := tlog.Tile{H: 8, L: -1, N: number, W: int(width)}
	data, err := s.get(strings.Replace(tile.Path(), "tile/8/data", "tile/entries", 1))
	for at := number * 256; err == nil; at++ {
		if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
			return nil, fmt.Errorf("bundle %d is cut short", number)
		}
		length := int(binary.BigEndian.Uint16(data))
		if at == index {
			return data[2 : 2+length], nil
		}
		data = data[2+length:]
	}
	return nil, err
}

// checkServed reads tiles and bundles, lets Go verify them against the signed root, and makes proofs out of
// them, which must hold and be ours.
func checkServed(s *served) {
	tree, err := s.open(s.Note)
	judge(err == nil, "the checkpoint: %v", err)
	if err != nil || tree.N == 0 {
		return // Go knows no hash of no leaves
	}
	reader := tlog.TileHashReader(tree, httpTiles{s})
	root, err := tlog.TreeHash(tree.N, reader)
	judge(err == nil && root == tree.Hash, "root of %d out of tiles: %v", tree.N, err)
	for _, index := range s.Entries {
		entry, err := s.entry(index, tree.N)
		judge(err == nil, "entry %d of %d: %v", index, tree.N, err)
		proof, err := tlog.ProveRecord(tree.N, index, reader)
		if err == nil {
			err = tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry))
		}
		judge(err == nil, "entry %d in %d: %v", index, tree.N, err)
	}
	for _, data := range s.Olds {
		old, err := s.open(data)
		judge(err == nil, "an older checkpoint: %v", err)
		if err != nil || old.N == 0 {
			continue
		}
		proof, err := tlog.ProveTree(tree.N, old.N, reader)
		if err == nil {
			err = tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash)
		}
		judge(err == nil, "%d continues %d: %v", tree.N, old.N, err)
	}
	for _, p := range s.Inclusions {
		proof, err := tlog.ProveRecord(tree.N, p.Index, reader)
		judge(err == nil && fmt.Sprint(proof) == fmt.Sprint(tlog.RecordProof(hashes(p.Proof))),
			"our inclusion proof of %d in %d is another: %v", p.Index, tree.N, err)
	}
	for _, p := range s.Histories {
		proof, err := tlog.ProveTree(tree.N, p.OldSize, reader)
		judge(err == nil && fmt.Sprint(proof) == fmt.Sprint(tlog.TreeProof(hashes(p.Proof))),
			"our consistency proof from %d to %d is another: %v", p.OldSize, tree.N, err)
	}
	checkProofs(s.Inclusions, s.Histories)
}
