# Like Alpine: musl's libc, a shell (dash) that is linked to it, busybox for the rest. No glibc, no bash.
mkdir -p "$1/bin" "$1/lib" "$1/etc" "$1/tmp" "$1/root" /tmp/dash
cp /bin/busybox "$1/bin/"
for applet in $(/bin/busybox --list); do
  [ "$applet" = busybox ] || ln -s busybox "$1/bin/$applet"
done
sed 's/^deb /deb-src /' /etc/apt/sources.list >/etc/apt/sources.list.d/source.list
apt-get -qq update
cd /tmp/dash
apt-get -qq source --download-only dash >/dev/null
tar -xf dash_*.orig.tar.gz # Debian's own patches would need automake
cd dash-*/
./configure -q CC=musl-gcc CC_FOR_BUILD=gcc >/dev/null
make -s ACLOCAL=: AUTOMAKE=: AUTOCONF=: AUTOHEADER=: >/dev/null
rm "$1/bin/sh"
cp src/dash "$1/bin/sh"
loader=$(basename /lib/ld-musl-*.so.1)
cp -L "/lib/$loader" "$1/lib/$loader"
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/sbin/nologin\n' >"$1/etc/passwd"
printf 'root:x:0:\nnobody:x:65534:\n' >"$1/etc/group"
chmod 1777 "$1/tmp"
