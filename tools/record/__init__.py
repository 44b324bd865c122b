"""Read and write run folders, whose content may be anybody's: it is read and never run."""
