"""Where the bytes of a striped file lie: records, arithmetic and the manifest's bytes. No I/O."""
