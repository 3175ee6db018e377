// Verifies a record with nothing but Go's own packages for transparency logs:
// the checkpoint's signature by sumdb/note, the root over every leaf by sumdb/tlog. Usage: sumdb LEDGER-DIRECTORY
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const tileEntries = 256

func main() {
	log.SetFlags(0)
	dir := os.Args[1]
	size, root := checkpoint(dir)
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = stored[index]
		}
		return hashes, nil
	})
	var n int64
	for tile := int64(0); tile*tileEntries < size; tile++ {
		for _, entry := range entries(dir, tile, size) {
			hashes, err := tlog.StoredHashes(n, entry, read)
			check(err)
			stored = append(stored, hashes...)
			n++
		}
	}
	if n != size {
		log.Fatalf("the checkpoint covers %d leaves, the tiles hold %d", size, n)
	}
	computed, err := tlog.TreeHash(size, read)
	check(err)
	if computed != root {
		log.Fatalf("the leaves give root %v, the checkpoint says %v", computed, root)
	}
	for n := int64(0); n < size; n++ {
		proof, err := tlog.ProveRecord(size, n, read)
		check(err)
		check(tlog.CheckRecord(proof, size, root, n, stored[tlog.StoredHashIndex(0, n)]))
	}
	fmt.Printf("verified: %d leaves\n", size)
}

func checkpoint(dir string) (int64, tlog.Hash) {
	vkey, err := os.ReadFile(filepath.Join(dir, "log.vkey"))
	check(err)
	verifier, err := note.NewVerifier(strings.TrimSpace(string(vkey)))
	check(err)
	signed, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	check(err)
	opened, err := note.Open(signed, note.VerifierList(verifier))
	check(err)
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	bytes, err := base64.StdEncoding.DecodeString(lines[2])
	check(err)
	var root tlog.Hash
	copy(root[:], bytes)
	return size, root
}

func entries(dir string, tile, size int64) [][]byte {
	name := fmt.Sprintf("tile/entries/%03d", tile)
	if width := size - tile*tileEntries; width < tileEntries {
		name += fmt.Sprintf(".p/%d", width)
	}
	data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	check(err)
	var list [][]byte
	for len(data) > 0 {
		length := int(binary.BigEndian.Uint16(data))
		list = append(list, data[2:2+length])
		data = data[2+length:]
	}
	return list
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
