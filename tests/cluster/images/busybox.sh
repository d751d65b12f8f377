# Nothing but a static busybox: no libraries, no bash, no /etc/passwd.
mkdir -p "$1/bin" "$1/tmp" "$1/root"
cp /bin/busybox "$1/bin/"
for applet in $(/bin/busybox --list); do
  [ "$applet" = busybox ] || ln -s busybox "$1/bin/$applet"
done
chmod 1777 "$1/tmp"
