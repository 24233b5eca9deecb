"""From a file, folder or address to chunks: fetched, parsed in a limited worker, stripped of hidden text, split."""
