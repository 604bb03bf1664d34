"""The host of view components: the only importer of wasmtime."""
