// Makes layers and indexes in the formats of other lazy-pulling snapshotters, with their own libraries.
//
//	layermaker estargz TAR LAYER [CHUNK]      eStargz; CHUNK: most bytes of a chunk
//	layermaker estargz-zstd TAR LAYER         stargz-snapshotter's zstd:chunked
//	layermaker chunked TAR LAYER              zstd:chunked as podman, buildah and skopeo push it
//	layermaker ztoc LAYER ZTOC SPAN           SOCI's index of a gzip layer; SPAN: bytes of a span
//
// Prints the annotations of the layer's descriptor as JSON.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"

	"github.com/awslabs/soci-snapshotter/ztoc"
	"github.com/awslabs/soci-snapshotter/ztoc/compression"
	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/containerd/stargz-snapshotter/estargz/zstdchunked"
	"github.com/klauspost/compress/zstd"
	"go.podman.io/storage/pkg/chunked/compressor"
)

type annotations map[string]string

func estargzLayer(source, target string, options ...estargz.Option) (annotations, error) {
	tar, err := os.Open(source)
	if err != nil {
		return nil, err
	}
	status, err := tar.Stat()
	if err != nil {
		return nil, err
	}
	blob, err := estargz.Build(io.NewSectionReader(tar, 0, status.Size()), options...)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	if err := save(target, blob); err != nil {
		return nil, err
	}
	return annotations{
		estargz.TOCJSONDigestAnnotation: blob.TOCDigest().String(),
		"diffID":                        blob.DiffID().String(),
	}, nil
}

func estargzZstdLayer(source, target string) (annotations, error) {
	metadata := annotations{}
	found, err := estargzLayer(source, target, estargz.WithCompression(&zstdCompression{
		Compressor:   &zstdchunked.Compressor{CompressionLevel: zstd.SpeedDefault, Metadata: metadata},
		Decompressor: &zstdchunked.Decompressor{},
	}))
	for name, value := range metadata {
		found[name] = value
	}
	return found, err
}

type zstdCompression struct {
	*zstdchunked.Compressor
	*zstdchunked.Decompressor
}

func chunkedLayer(source, target string) (annotations, error) {
	tar, err := os.Open(source)
	if err != nil {
		return nil, err
	}
	layer, err := os.Create(target)
	if err != nil {
		return nil, err
	}
	found := annotations{}
	writer, err := compressor.ZstdCompressor(layer, found, nil)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(writer, tar); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return found, layer.Close()
}

func sociIndex(source, target, span string) (annotations, error) {
	size, err := strconv.ParseInt(span, 10, 64)
	if err != nil {
		return nil, err
	}
	made, err := ztoc.NewBuilder("bootseer's tests").BuildZtoc(
		source, size, ztoc.WithCompression(compression.Gzip))
	if err != nil {
		return nil, err
	}
	reader, descriptor, err := ztoc.Marshal(made)
	if err != nil {
		return nil, err
	}
	return annotations{"digest": descriptor.Digest.String()}, save(target, reader)
}

func save(target string, source io.Reader) error {
	file, err := os.Create(target)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, source); err != nil {
		return err
	}
	return file.Close()
}

func run(arguments []string) (annotations, error) {
	if len(arguments) < 3 {
		return nil, fmt.Errorf("format, source and target are missing")
	}
	source, target := arguments[1], arguments[2]
	switch arguments[0] {
	case "estargz":
		options := []estargz.Option{}
		if len(arguments) > 3 {
			size, err := strconv.Atoi(arguments[3])
			if err != nil {
				return nil, err
			}
			options = append(options, estargz.WithChunkSize(size))
		}
		return estargzLayer(source, target, options...)
	case "estargz-zstd":
		return estargzZstdLayer(source, target)
	case "chunked":
		return chunkedLayer(source, target)
	case "ztoc":
		return sociIndex(source, target, arguments[3])
	}
	return nil, fmt.Errorf("unknown format %q", arguments[0])
}

func main() {
	found, err := run(os.Args[1:])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(found)
	}
	if err != nil {
		log.Fatal(err)
	}
}
