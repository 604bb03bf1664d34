// Evidence checks a zip of Indelible's evidence, from docs/formats.md alone, with Go's sumdb/tlog and note.
//
//	evidence FILE.zip VKEY-OF-THE-LOG VKEY-OF-AUDIT
//
// It ends with 0 only when everything is proved but the ends of a window, which it leaves to others.
package main

import (
	"archive/zip"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type event struct {
	Sequence      uint64
	Time          string
	Writer, Salt  string
	Payload       *string
	PayloadBase64 *string `json:"payload_base64"`
}

type rangeProof struct {
	Origin        string
	First, Last   int64
	Size          int64
	Root          string
	Before, After *string
	Hashes        []string
}

type auditProof struct {
	Origin     string
	Size       int64
	Root       string
	Checkpoint string
	Proofs     [][]string
}

type manifest struct {
	Format string
	Log    struct{ Origin string }
	Events int64
	First  int64 `json:"first_sequence"`
	Last   int64 `json:"last_sequence"`
	Head   struct {
		Size int64
		Root string
	}
	Files map[string]struct {
		Sha256 string
		Bytes  int64
	}
}

type head struct {
	origin string
	size   int64
	root   tlog.Hash
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}

func need(holds bool, format string, args ...any) {
	if !holds {
		fail(format, args...)
	}
}

func check(err error, what string) {
	need(err == nil, "%s: %v", what, err)
}

func unhex(text string, size int) []byte {
	data, err := hex.DecodeString(text)
	need(err == nil && len(data) == size, "%.80q is no hex of %d bytes", text, size)
	return data
}

func hash(text string) (h tlog.Hash) {
	copy(h[:], unhex(text, tlog.HashSize))
	return h
}

// entry recomputes the 65 bytes that stand for an event.
func entry(line []byte) (uint64, []byte) {
	var e event
	check(json.Unmarshal(line, &e), "an event")
	need((e.Payload == nil) != (e.PayloadBase64 == nil), "event %d has no payload, or two", e.Sequence)
	var payload []byte
	if e.Payload != nil {
		payload = []byte(*e.Payload)
	} else {
		var err error
		payload, err = base64.StdEncoding.Strict().DecodeString(*e.PayloadBase64)
		check(err, "a payload")
	}
	when, err := time.Parse("2006-01-02T15:04:05.000000Z", e.Time)
	check(err, "a time")
	committed := sha256.Sum256(append(unhex(e.Salt, 16), payload...))
	out := []byte{1}
	out = binary.BigEndian.AppendUint64(out, e.Sequence)
	out = binary.BigEndian.AppendUint64(out, uint64(when.UnixMicro()))
	out = append(out, unhex(strings.ReplaceAll(e.Writer, "-", ""), 16)...)
	return e.Sequence, append(out, committed[:]...)
}

func lines(data []byte) (out [][]byte) {
	scanner := bufio.NewScanner(bytes.NewReader(data))
	scanner.Buffer(nil, 8<<20)
	for scanner.Scan() {
		out = append(out, bytes.Clone(scanner.Bytes()))
	}
	check(scanner.Err(), "the lines")
	return out
}

// open checks a signed note with the one key that has its origin as its name, and returns its text.
func open(data []byte, vkey, origin string) string {
	verifier, err := note.NewVerifier(vkey)
	check(err, "a key")
	need(verifier.Name() == origin, "the key is of %s, not of %s", verifier.Name(), origin)
	opened, err := note.Open(data, note.VerifierList(verifier))
	check(err, "a signature")
	return opened.Text
}

func openHead(data []byte, vkey string) head {
	origin, _, _ := strings.Cut(string(data), "\n")
	text := open(data, vkey, origin)
	// tlog.ParseTree knows one origin only; the lines after it are those of a checkpoint
	var size int64
	var root string
	_, err := fmt.Sscanf(text[len(origin)+1:], "%d\n%s\n", &size, &root)
	check(err, "a checkpoint")
	decoded, err := base64.StdEncoding.DecodeString(root)
	need(err == nil && len(decoded) == tlog.HashSize, "a checkpoint has no root")
	return head{origin, size, tlog.Hash(decoded)}
}

// closed gives the root of the leaves [low, high), where first is the index of leaves[0].
func closed(low, high, first int64, leaves []tlog.Hash, proof *[]tlog.Hash) tlog.Hash {
	if end := first + int64(len(leaves)); first == end || high <= first || low >= end {
		need(len(*proof) > 0, "the proof has too few hashes")
		next := (*proof)[0]
		*proof = (*proof)[1:]
		return next
	}
	if high-low == 1 {
		return leaves[low-first]
	}
	half := int64(1)
	for half*2 < high-low {
		half *= 2
	}
	left := closed(low, low+half, first, leaves, proof)
	return tlog.NodeHash(left, closed(low+half, high, first, leaves, proof))
}

func checkRange(files map[string][]byte, sheet *manifest, h head) int {
	var p rangeProof
	check(json.Unmarshal(files["proof.json"], &p), "proof.json")
	need(p.Origin == h.origin && p.Size == h.size && hash(p.Root) == h.root, "the proof is for another head")
	need(sheet.First == p.First && sheet.Last == p.Last, "the cover sheet has another range")
	first := p.First - 1
	var leaves []tlog.Hash
	if p.Before != nil {
		leaves = append(leaves, tlog.RecordHash(unhex(*p.Before, 65)))
		first--
	}
	all := lines(files["events.ndjson"])
	for at, line := range all {
		sequence, e := entry(line)
		need(sequence == uint64(p.First)+uint64(at), "event %d stands at %d", sequence, at)
		leaves = append(leaves, tlog.RecordHash(e))
	}
	need(int64(len(all)) == p.Last-p.First+1 && sheet.Events == int64(len(all)), "there are %d events", len(all))
	if p.After != nil {
		leaves = append(leaves, tlog.RecordHash(unhex(*p.After, 65)))
	}
	var proof []tlog.Hash
	for _, text := range p.Hashes {
		proof = append(proof, hash(text))
	}
	need(closed(0, h.size, first, leaves, &proof) == h.root && len(proof) == 0, "the events are not what stands under the head")
	return len(all)
}

func checkAudit(files map[string][]byte, vkey string) int {
	var p auditProof
	check(json.Unmarshal(files["audit-proof.json"], &p), "audit-proof.json")
	h := openHead([]byte(p.Checkpoint), vkey)
	need(p.Origin == h.origin && p.Size == h.size && hash(p.Root) == h.root, "_audit's proof is for another head")
	all := lines(files["audit.ndjson"])
	need(len(all) == len(p.Proofs), "_audit has %d events and %d proofs", len(all), len(p.Proofs))
	for at, line := range all {
		sequence, e := entry(line)
		var proof tlog.RecordProof
		for _, text := range p.Proofs[at] {
			proof = append(proof, hash(text))
		}
		check(tlog.CheckRecord(proof, h.size, h.root, int64(sequence)-1, tlog.RecordHash(e)), "an event of _audit")
	}
	return len(all)
}

func checkSheet(files map[string][]byte, vkey string, h head) *manifest {
	var sheet manifest
	check(json.Unmarshal(files["manifest.json"], &sheet), "manifest.json")
	need(sheet.Format == "indelible/evidence/v1" && sheet.Log.Origin == h.origin, "the cover sheet is of another log")
	need(sheet.Head.Size == h.size && hash(sheet.Head.Root) == h.root, "the cover sheet is for another head")
	need(len(sheet.Files) == len(files)-2, "the cover sheet lists %d files", len(sheet.Files))
	for name, listed := range sheet.Files {
		need(listed.Sha256 == fmt.Sprintf("%x", sha256.Sum256(files[name])), "%s is not the file that is listed", name)
	}
	want := fmt.Sprintf("indelible/evidence/v1\n%s\n%d\n%s\n%d %d\n%x\n", h.origin, h.size,
		base64.StdEncoding.EncodeToString(h.root[:]), sheet.First, sheet.Last, sha256.Sum256(files["manifest.json"]))
	need(open(files["manifest.sig"], vkey, h.origin) == want, "the signature is for another cover sheet")
	return &sheet
}

func read(path string) map[string][]byte {
	archive, err := zip.OpenReader(path)
	check(err, "the zip")
	defer archive.Close()
	files := map[string][]byte{}
	for _, member := range archive.File {
		_, twice := files[member.Name]
		need(!twice, "%s is there twice", member.Name)
		stream, err := member.Open()
		check(err, member.Name)
		files[member.Name], err = io.ReadAll(stream)
		check(err, member.Name)
	}
	return files
}

func main() {
	need(len(os.Args) == 4, "usage: evidence FILE.zip VKEY-OF-THE-LOG VKEY-OF-AUDIT")
	files := read(os.Args[1])
	h := openHead(files["checkpoint"], os.Args[2])
	sheet := checkSheet(files, os.Args[2], h)
	events := checkRange(files, sheet, h)
	fmt.Printf("proved %d events and %d of _audit\n", events, checkAudit(files, os.Args[3]))
}
