#!/bin/sh
# build-rootfs.sh OUT: makes the runtime image's root file system in OUT. Runs as root in Debian bookworm.
#
# OUT/sky/tools is the toolbox: Python, rsync and the ssh programs. It runs in any image of the same architecture,
# whatever C library that has, because each program names the toolbox's own loader and libraries by absolute path.
set -eu
out=$1
tools=/sky/tools
py=python3.11
box=$out$tools
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

echo "packages"
apt-get -qq update
# sshd's own postinst wants a running system: unpacking is all that is needed
apt-get -qq install --no-install-recommends -y $py patchelf rsync openssh-client busybox-static >/dev/null
mkdir -p /tmp/unpack
cd /tmp/unpack
apt-get -qq install --no-install-recommends -y libpam0g libwrap0 libsystemd0 libaudit1 libselinux1 >/dev/null
apt-get -qq download openssh-server openssh-sftp-server libnss-wrapper
for deb in *.deb; do dpkg-deb -x "$deb" .; done

mkdir -p "$box/bin" "$box/lib" "$out/usr/sbin" "$out/usr/lib/sshd"

# libs FILE...: the shared libraries that they need, one a line
libs() { ldd "$@" 2>/dev/null | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u; }

echo "python"
cp -L /usr/bin/$py "$box/bin/python3"
loader=$(patchelf --print-interpreter "$box/bin/python3")
cp -L "$loader" "$box/lib/"
mkdir -p "$box/lib/$py"
cp -r /usr/lib/$py/. "$box/lib/$py/"
cd "$box/lib/$py"
rm -rf test idlelib ensurepip distutils lib2to3 tkinter turtledemo turtle.py pydoc_data pydoc.py config-3.11-* \
  LICENSE.txt EXTERNALLY-MANAGED sitecustomize.py _aix_support.py _osx_support.py antigravity.py this.py \
  curses dbm sqlite3 wsgiref xmlrpc xml msilib nntplib.py imaplib.py smtpd.py smtplib.py poplib.py telnetlib.py \
  ftplib.py doctest.py unittest pdb.py cgi.py cgitb.py aifc.py sunau.py wave.py chunk.py mailbox.py venv \
  __phello__ _pydecimal.py _sysconfigdata*.py
find . -name __pycache__ -prune -exec rm -rf {} +
# the codecs and extension modules that nothing here can use
cd encodings
for codec in *.py; do
  case $codec in
    __init__.py|aliases.py|ascii.py|utf_8.py|utf_8_sig.py|latin_1.py|idna.py|punycode.py|utf_16*.py|utf_32*.py|hex_codec.py|base64_codec.py|raw_unicode_escape.py|unicode_escape.py|cp437.py) ;;
    *) rm "$codec" ;;
  esac
done
cd ../lib-dynload
rm -f _codecs_* _multibytecodec* _ssl* _sqlite3* _dbm* _gdbm* _curses* _tkinter* _test* _xx* xx* readline* _crypt* \
  _ctypes* _lsprof* ossaudiodev* nis* audioop* _zoneinfo* _decimal* _uuid* _bz2* _lzma*
rm -rf ../ctypes ../ssl.py ../bz2.py ../lzma.py ../html
# .pyc files alone, without docstrings: half the size, read-only works, and the time of the build is not in them
cd "$box/lib"
$py -I -B -m compileall -q -b -o 2 --invalidation-mode unchecked-hash -s "$out" $py
find . -name '*.py' -delete

echo "programs"
cp -L /usr/bin/rsync /usr/bin/ssh /usr/bin/ssh-keygen /usr/bin/scp /tmp/unpack/usr/lib/openssh/sftp-server "$box/bin/"
cp -L /tmp/unpack/usr/sbin/sshd "$out/usr/sbin/"
for lib in $(libs "$box"/bin/* "$box/lib/$py"/lib-dynload/*.so); do cp -L "$lib" "$box/lib/"; done
# asked for by name at run time: for name look-ups, and by glibc for the end of a thread
for lib in libnss_files.so.2 libnss_dns.so.2 libresolv.so.2 libgcc_s.so.1; do cp -L "$(dirname "$(libs /bin/ls | grep libc.so)")/$lib" "$box/lib/"; done
# gives a user whom the image does not know a name: scp and sftp-server refuse to work for one without
cp -L /tmp/unpack/usr/lib/*/libnss_wrapper.so "$box/lib/"
for lib in $(libs "$out/usr/sbin/sshd"); do [ -e "$box/lib/${lib##*/}" ] || cp -L "$lib" "$out/usr/lib/sshd/"; done
for program in "$box"/bin/* "$out/usr/sbin/sshd"; do
  # RPATH and not RUNPATH: it wins over an image's LD_LIBRARY_PATH, and holds for the libraries' own libraries
  patchelf --set-interpreter "$tools/lib/${loader##*/}" --force-rpath --set-rpath "$tools/lib" "$program"
done
patchelf --force-rpath --set-rpath "$tools/lib:/usr/lib/sshd" "$out/usr/sbin/sshd"

echo "system"
mkdir -p "$out/bin" "$out/etc" "$out/run/sshd" "$out/sky/run" "$out/sky/code" "$out/sky/etc" "$out/tmp" "$out/proc" "$out/dev" "$out/sys"
cp -L "$(command -v busybox)" "$out/bin/busybox"
for applet in sh cp cat ls ln mkdir mv rm touch chmod sleep echo printf test true false env id ps kill head tail grep \
    sed awk find stat df du tar sort wc date hostname nslookup nc ip mount; do
  ln -s busybox "$out/bin/$applet"
done
# No passwords at all: sshd is reached through `kubectl exec` alone, which has asked who you are
printf 'root:x:0:0::/:/bin/sh\nsky::65532:65532::/sky/run:/bin/sh\nsshd:x:100:65534::/run/sshd:/bin/false\n' >"$out/etc/passwd"
printf 'root:x:0:\nsky:x:65532:\nnogroup:x:65534:\n' >"$out/etc/group"
printf 'sky::19000::::::\n' >"$out/etc/shadow" # sshd asks for it, and complains when it cannot read it
printf 'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n' >"$out/etc/nsswitch.conf"
chmod 0755 "$out/run/sshd"
chmod 1777 "$out/tmp"
chown 65532:65532 "$out/sky/run"
