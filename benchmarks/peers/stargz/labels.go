package main

import (
	"maps"
	"sync"

	"github.com/opencontainers/go-digest"
)

// labels keeps what the converter notes of blobs, for as long as it runs.
type labels struct {
	lock sync.Mutex
	of   map[digest.Digest]map[string]string
}

// Get returns a blob's labels.
func (l *labels) Get(blob digest.Digest) (map[string]string, error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	return maps.Clone(l.of[blob]), nil
}

// Set replaces a blob's labels.
func (l *labels) Set(blob digest.Digest, all map[string]string) error {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.of[blob] = maps.Clone(all)
	return nil
}

// Update sets some of a blob's labels, removes those set to nothing, and returns all.
func (l *labels) Update(blob digest.Digest, some map[string]string) (map[string]string, error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.of[blob] == nil {
		l.of[blob] = map[string]string{}
	}
	for name, value := range some {
		if value == "" {
			delete(l.of[blob], name)
		} else {
			l.of[blob][name] = value
		}
	}
	return maps.Clone(l.of[blob]), nil
}
