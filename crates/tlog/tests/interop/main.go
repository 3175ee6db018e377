// Command interop checks our files with the Go project's own implementation of signed notes and tiled logs
// (golang.org/x/mod/sumdb), and signs a note for us to open.
//
//	interop log VKEY DIR                  every entry against the signed root, and every hash tile
//	interop proof VKEY PROOF LEAF         a .tlog-proof file
//	interop consistency VKEY OLD NEW HASHES   two signed checkpoints and the base64 hashes between them
//	interop sign SKEY TEXT                prints a signed note
//
// Exit code 0 means accepted, 1 rejected, 2 that something could not be read.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const tileHeight = 8

func main() {
	if len(os.Args) < 4 {
		unusable("usage: interop log|proof|consistency|sign ARGUMENTS")
	}
	args := os.Args[2:]
	commands := map[string]func([]string) error{
		"log": checkLog, "proof": checkProof, "consistency": checkConsistency, "sign": sign,
	}
	command := commands[os.Args[1]]
	if command == nil {
		unusable("unknown command " + os.Args[1])
	}
	if err := command(args); err != nil {
		fmt.Println("rejected:", err)
		os.Exit(1)
	}
	fmt.Println("accepted")
}

func unusable(reason string) {
	fmt.Fprintln(os.Stderr, reason)
	os.Exit(2)
}

func read(path string) []byte {
	data, err := os.ReadFile(path)
	if err != nil {
		unusable(err.Error())
	}
	return data
}

// openCheckpoint verifies a signed checkpoint with the one key given.
func openCheckpoint(vkey string, data []byte) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("not a checkpoint of %s", verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// storedHashes is a whole tree in memory, in the order of tlog.StoredHashIndex.
type storedHashes []tlog.Hash

func (stored storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, index := range indexes {
		if index >= int64(len(stored)) {
			return nil, fmt.Errorf("no hash %d", index)
		}
		hashes = append(hashes, stored[index])
	}
	return hashes, nil
}

// checkLog computes the tree from the entries alone, compares its root with the signed one, and then every hash tile
// with the one Go makes. (tlog.TileHashReader is not used: in the packaged version it does not authenticate every tile it
// reads when several subtrees of the root share a tile.)
func checkLog(args []string) error {
	vkey, dir := args[0], args[1]
	tree, err := openCheckpoint(vkey, read(filepath.Join(dir, "checkpoint")))
	if err != nil {
		return err
	}
	stored, err := rebuild(dir, tree.N)
	if err != nil {
		return err
	}
	root, err := tlog.TreeHash(tree.N, stored)
	if err != nil {
		return err
	}
	if root != tree.Hash {
		return fmt.Errorf("the entries do not have the signed root")
	}
	for _, tile := range tlog.NewTiles(tileHeight, 0, tree.N) {
		width := tree.N >> (tileHeight * tile.L) & (1<<tileHeight - 1)
		if tile.W < 1<<tileHeight && int64(tile.W) != width {
			continue // a partial tile of a smaller tree
		}
		if err := checkTile(dir, tile, stored); err != nil {
			return err
		}
	}
	return nil
}

func rebuild(dir string, size int64) (storedHashes, error) {
	var stored storedHashes
	for first := int64(0); first < size; first += 1 << tileHeight {
		entries, err := readEntries(dir, first, size)
		if err != nil {
			return nil, err
		}
		for i, entry := range entries {
			hashes, err := tlog.StoredHashes(first+int64(i), entry, stored)
			if err != nil {
				return nil, err
			}
			stored = append(stored, hashes...)
		}
	}
	return stored, nil
}

// checkTile compares a file with the tile Go makes. Go names it tile/<height>/<level>/<n>; C2SP leaves the height out.
func checkTile(dir string, tile tlog.Tile, stored storedHashes) error {
	expected, err := tlog.ReadTileData(tile, stored)
	if err != nil {
		return err
	}
	name := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", tileHeight), "tile/", 1)
	found, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	if !bytes.Equal(found, expected) {
		return fmt.Errorf("%s differs", name)
	}
	return nil
}

func readEntries(dir string, first, size int64) ([][]byte, error) {
	width := size - first
	if width > 1<<tileHeight {
		width = 1 << tileHeight
	}
	tile := tlog.Tile{H: tileHeight, L: 0, N: first >> tileHeight, W: int(width)}
	name := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/0/", tileHeight), "tile/entries/", 1)
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for len(data) >= 2 {
		length := int(binary.BigEndian.Uint16(data)) + 2
		if len(data) < length {
			return nil, fmt.Errorf("%s ends inside an entry", name)
		}
		entries = append(entries, data[2:length])
		data = data[length:]
	}
	if int64(len(entries)) != width {
		return nil, fmt.Errorf("%s holds %d entries", name, len(entries))
	}
	return entries, nil
}

func checkProof(args []string) error {
	vkey, proof, leaf := args[0], string(read(args[1])), read(args[2])
	head, checkpoint, found := strings.Cut(proof, "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return fmt.Errorf("not a proof")
	}
	lines = lines[1:]
	if strings.HasPrefix(lines[0], "extra ") {
		lines = lines[1:]
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "index "), 10, 64)
	if err != nil {
		return err
	}
	tree, err := openCheckpoint(vkey, []byte(checkpoint))
	if err != nil {
		return err
	}
	hashes, err := parseHashes(lines[1:])
	if err != nil {
		return err
	}
	return tlog.CheckRecord(hashes, tree.N, tree.Hash, index, tlog.RecordHash(leaf))
}

func checkConsistency(args []string) error {
	before, err := openCheckpoint(args[0], read(args[1]))
	if err != nil {
		return err
	}
	after, err := openCheckpoint(args[0], read(args[2]))
	if err != nil {
		return err
	}
	hashes, err := parseHashes(strings.Fields(string(read(args[3]))))
	if err != nil {
		return err
	}
	return tlog.CheckTree(hashes, after.N, after.Hash, before.N, before.Hash)
}

func parseHashes(lines []string) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, line := range lines {
		data, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(data) != tlog.HashSize {
			return nil, fmt.Errorf("%q is not a hash", line)
		}
		var hash tlog.Hash
		copy(hash[:], data)
		hashes = append(hashes, hash)
	}
	return hashes, nil
}

func sign(args []string) error {
	signer, err := note.NewSigner(args[0])
	if err != nil {
		return err
	}
	signed, err := note.Sign(&note.Note{Text: string(read(args[1]))}, signer)
	if err != nil {
		return err
	}
	_, err = os.Stderr.Write(signed)
	return err
}
