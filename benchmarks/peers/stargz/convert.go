package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/stargz-snapshotter/estargz"
	esgz "github.com/containerd/stargz-snapshotter/nativeconverter/estargz"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// convert writes the image of an OCI layout, which has one, into a new layout with eStargz layers.
// `paths` names a file with a path of the image a line, in the order in which a start reads them;
// a layer's are put first, as the snapshotter's own optimiser does. Without it nothing is put first.
func convert(ctx context.Context, layout, target, paths string) error {
	wanted, err := lines(paths)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	if err := os.CopyFS(target, os.DirFS(layout)); err != nil {
		return err
	}
	// containerd's store on disk has the layout of an OCI image's.
	store, err := local.NewLabeledStore(target, &labels{of: map[digest.Digest]map[string]string{}})
	if err != nil {
		return err
	}
	var index ocispec.Index
	if err := readFile(filepath.Join(target, "index.json"), &index); err != nil {
		return err
	}
	if len(index.Manifests) != 1 {
		return fmt.Errorf("%s has %d images, one is expected", layout, len(index.Manifests))
	}
	made, err := manifest(ctx, store, index.Manifests[0], wanted)
	if err != nil {
		return err
	}
	made.Annotations = index.Manifests[0].Annotations
	index = ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		Manifests: []ocispec.Descriptor{made},
	}
	encoded, err := json.Marshal(index)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(target, "index.json"), encoded, 0o644)
}

// manifest converts an image; its configuration names the new layers' contents.
func manifest(
	ctx context.Context, store content.Store, old ocispec.Descriptor, wanted []string,
) (ocispec.Descriptor, error) {
	var image ocispec.Manifest
	if err := read(ctx, store, old, &image); err != nil {
		return ocispec.Descriptor{}, err
	}
	var config ocispec.Image
	if err := read(ctx, store, image.Config, &config); err != nil {
		return ocispec.Descriptor{}, err
	}
	options := []estargz.Option{estargz.WithAllowPrioritizeNotFound(&[]string{})}
	if len(wanted) > 0 {
		options = append(options, estargz.WithPrioritizedFiles(wanted))
	}
	function := esgz.LayerConvertFunc(options...)
	for row, layer := range image.Layers {
		made, err := function(ctx, store, layer)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		info, err := store.Info(ctx, made.Digest)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		image.Layers[row] = *made
		config.RootFS.DiffIDs[row] = digest.Digest(info.Labels["containerd.io/uncompressed"])
	}
	var err error
	if image.Config, err = write(ctx, store, image.Config.MediaType, config); err != nil {
		return ocispec.Descriptor{}, err
	}
	return write(ctx, store, ocispec.MediaTypeImageManifest, image)
}

func read(ctx context.Context, store content.Store, from ocispec.Descriptor, into any) error {
	data, err := content.ReadBlob(ctx, store, from)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

func write(
	ctx context.Context, store content.Store, mediaType string, value any,
) (ocispec.Descriptor, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	made := ocispec.Descriptor{
		MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data)),
	}
	reference := made.Digest.String()
	return made, content.WriteBlob(ctx, store, reference, strings.NewReader(string(data)), made)
}

func readFile(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

func lines(path string) (found []string, err error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		if line := scanner.Text(); line != "" {
			found = append(found, line)
		}
	}
	return found, scanner.Err()
}
