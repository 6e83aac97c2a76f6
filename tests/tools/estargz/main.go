// estargz makes an eStargz layer of a tar: `estargz IN.tar OUT.tar.gz`. Prints the digest of its table of contents, and its diff ID.
package main

import (
	"fmt"
	"io"
	"log"
	"os"

	"github.com/containerd/stargz-snapshotter/estargz"
)

func main() {
	tar, err := os.Open(os.Args[1])
	check(err)
	facts, err := tar.Stat()
	check(err)
	blob, err := estargz.Build(io.NewSectionReader(tar, 0, facts.Size()))
	check(err)
	out, err := os.Create(os.Args[2])
	check(err)
	_, err = io.Copy(out, blob)
	check(err)
	check(blob.Close())
	check(out.Close())
	fmt.Println(blob.TOCDigest(), blob.DiffID())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
