# The container that holds a pod's namespaces.
mkdir -p "$1"
gcc -static -Os -s -o "$1/pause" /build/pause.c
