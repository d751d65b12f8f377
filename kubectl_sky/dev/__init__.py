"""Live work: files that change here are in the pods within a second, and the run begins again if that is wanted."""
