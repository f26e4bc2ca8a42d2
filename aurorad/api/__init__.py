"""The contract: every type that crosses a wire or a disk, its encodings, keys and units."""
