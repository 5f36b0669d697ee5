# The Debian package, and the unit in it: verified, and run by a systemd in a container.

package() {
    "$here/deb.sh" --binary "$binary" --out "$work/deb"
    dpkg-deb --info "$work"/deb/sidegate_*.deb | grep -E '^ (Version|Depends|Architecture)' | sed 's/^ /- /'
}
systemd_image() {
    mkdir -p "$work/systemd"
    printf 'FROM sidegate-base\nRUN apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends systemd dbus curl >/dev/null && apt-get clean\nSTOPSIGNAL SIGRTMIN+3\nCMD ["/lib/systemd/systemd"]\n' >"$work/systemd/Dockerfile"
    docker build --network=host -t test-systemd "$work/systemd" >/dev/null
}
without_systemd() {
    docker run --rm --network none -v "$work/deb:/deb:ro" sidegate-base sh -euc '
        dpkg -i /deb/sidegate_*.deb
        sidegate --version
        sidegate check -c /etc/sidegate/config.yaml
        getent passwd sidegate || id sidegate
        test -f /usr/include/sidegate.h && test -f /usr/share/man/man1/sidegate.1.gz
        echo "# mine" >>/etc/sidegate/config.yaml
        dpkg -i /deb/sidegate_*.deb
        grep -q "# mine" /etc/sidegate/config.yaml
        dpkg -r sidegate
        test ! -e /usr/bin/sidegate
        test -f /etc/sidegate/config.yaml
        dpkg -P sidegate
        test ! -e /etc/sidegate/config.yaml
        ! dpkg -s sidegate 2>/dev/null'
}
boot() {
    # What a systemd needs, and less than --privileged, which wants more than every machine has.
    docker run -d -t --name systemd --network none --cap-add SYS_ADMIN --cap-add NET_ADMIN --cap-add SYS_PTRACE --security-opt seccomp=unconfined \
        --security-opt apparmor=unconfined --cgroupns=private -e container=docker --tmpfs /run --tmpfs /run/lock --tmpfs /tmp:exec -v "$work/deb:/deb:ro" test-systemd >/dev/null
    booted() { docker exec systemd systemctl is-system-running 2>&1 | grep -qE 'running|degraded'; }
    until_true 60 booted || { docker logs systemd; docker exec systemd systemctl is-system-running || true; exit 1; }
    echo "- $(docker exec systemd systemctl --version | head -1)"
}
unit() {
    docker exec systemd sh -euc '
        dpkg -i /deb/sidegate_*.deb
        systemd-analyze verify --man=no sidegate.service'
    # Nothing it does not know, in words.
    claim "systemd has nothing to say of the unit" [ -z "$(docker exec systemd systemd-analyze verify --man=no sidegate.service 2>&1)" ]
    docker exec systemd systemd-analyze security --no-pager sidegate.service | tail -1 | sed 's/^/- /'
}
unit_runs() {
    docker exec systemd sh -euc '
        systemctl is-active sidegate && exit 1
        systemctl start sidegate || { journalctl --no-pager -u sidegate; systemctl status --no-pager sidegate; exit 1; }
        test "$(systemctl show -p ActiveState --value sidegate)" = active
        test "$(curl -s -m 10 http://127.0.0.1:2046/)" = sidegate
        pid=$(systemctl show -p MainPID --value sidegate)
        grep "^Uid:" /proc/$pid/status | grep -q "$(id -u sidegate)"
        grep -q "^NoNewPrivs:.1" /proc/$pid/status
        grep -q "^Seccomp:.2" /proc/$pid/status
        # A reload that is taken, one that is refused, and the same process all the time.
        sed -i s/sidegate.n/again/ /etc/sidegate/config.yaml
        systemctl reload sidegate
        for i in $(seq 100); do test "$(curl -s -m 10 http://127.0.0.1:2046/)" = again && break; sleep 0.1; done
        test "$(curl -s -m 10 http://127.0.0.1:2046/)" = again
        echo nonsense: yes >>/etc/sidegate/config.yaml
        systemctl reload sidegate || true
        test "$(curl -s -m 10 http://127.0.0.1:2046/)" = again
        test "$(systemctl show -p MainPID --value sidegate)" = "$pid"
        sed -i \$d /etc/sidegate/config.yaml
        # A crash is followed by a start, a stop by a drain and code 0.
        kill -SEGV $pid
        for i in $(seq 100); do new=$(systemctl show -p MainPID --value sidegate); test "$new" != 0 && test "$new" != $pid && systemctl is-active -q sidegate && break; sleep 0.1; done
        test "$(curl -s -m 10 http://127.0.0.1:2046/)" = again
        systemctl stop sidegate
        test "$(systemctl show -p Result --value sidegate)" = success
        test "$(systemctl show -p ExecMainStatus --value sidegate)" = 0'
    echo "- active, reloaded, a refused reload, restarted after a crash, stopped with 0"
}
removed() {
    docker exec systemd sh -euc '
        systemctl start sidegate
        dpkg -r sidegate
        test "$(systemctl show -p ActiveState --value sidegate)" != active
        dpkg -P sidegate
        test ! -e /etc/sidegate/config.yaml'
    docker rm -f systemd >/dev/null
}

step 600 "a Debian package" package

went_well || return 0
step 120 "installed, kept a changed configuration, removed, purged" without_systemd
step 600 "a container with systemd" systemd_image
went_well || return 0
step 120 "systemd as process 1" boot
if went_well; then
    step 60 "the unit, verified" unit
    step 120 "the unit, run" unit_runs
    went_well || { docker exec systemd journalctl --no-pager -n 30 || true; }
    step 60 "the package removed while it runs" removed
fi
