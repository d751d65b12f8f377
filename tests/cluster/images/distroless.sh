# One static program, and nothing else at all.
mkdir -p "$1"
gcc -static -Os -s -o "$1/app" /build/distroless.c
