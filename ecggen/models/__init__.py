"""Beat tokens -> heart state W -> source -> leads. No paths, no optimizer, no loss."""
