// Exists only to hold the precompiled header that all libraries share.
