#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The whole service at work on real packets, in two network namespaces of its own; called by "./dev demo". Each step
# is explained, shown and checked. Exit status 0: every check held. Takes the build folder as its only argument
# (default: build). The machine's own interfaces are never touched, and everything is cleaned up, however this ends.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck source=tools/lib.sh
source "$ROOT/tools/lib.sh"

BUILD="$(cd "${1:-$ROOT/build}" && pwd)"
SERVICE="$BUILD/service/bpfchaind"
CLIENT="$BUILD/client/bpfchain"
EXAMPLES="$BUILD/bpf/examples"

# Names that nobody else has. Both ends of the wire are in namespaces, where they can be called eth0.
HOST="bct-demo-$$-host"
PEER="bct-demo-$$-peer"
TARGET=192.0.2.1
ALICE=192.0.2.10
MALLORY=192.0.2.66
RATE=20000
REORDERS=20

WORK=
SERVICE_PID=
TRAFFIC_PID=
CHECKS=0
FAILED=0
FINISHED=no

BOLD='' DIM='' GREEN='' RED='' PLAIN=''
if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
        BOLD=$'\e[1m' DIM=$'\e[2m' GREEN=$'\e[32m' RED=$'\e[31m' PLAIN=$'\e[0m'
fi

# --- showing -------------------------------------------------------------------------------------------------------

STEP=0

# step TITLE SENTENCE...
step() {
        STEP=$((STEP + 1))
        printf '\n%s%d. %s%s\n' "$BOLD" "$STEP" "$1" "$PLAIN"
        shift
        printf '%s\n' "$*" | fold -s -w 100
}

# show COMMAND...: shows it as one would type it, and runs it.
show() {
        local word line=

        for word in "$@"; do
                if [[ $word == *[[:space:]]* ]]; then
                        word="\"$word\""
                fi
                line+=" $word"
        done
        printf '\n%s$%s%s\n' "$DIM" "$line" "$PLAIN"
        "$@" 2>&1
}

# check SENTENCE ACTUAL EXPECTED
check() {
        CHECKS=$((CHECKS + 1))
        if [[ $2 == "$3" ]]; then
                printf '%s✓%s %s: %s\n' "$GREEN" "$PLAIN" "$1" "$2"
        else
                printf '%s✗ %s: %s, but it should be %s%s\n' "$RED" "$1" "$2" "$3" "$PLAIN"
                FAILED=$((FAILED + 1))
        fi
}

# --- the stage -----------------------------------------------------------------------------------------------------

# in_namespace NAME COMMAND...: not "ip netns exec", which would hide the BPF file system.
in_namespace() {
        local name="$1"
        shift
        nsenter "--net=/run/netns/$name" "$@"
}

bpfchain() {
        BPFCHAIN_SOCKET="$WORK/private" BPFCHAIN_PAGER=cat "$CLIENT" "$@"
}

make_namespaces() {
        local name

        for name in "$HOST" "$PEER"; do
                ip netns add "$name"
                # Nothing but our packets on the wire, so that counts are exact.
                # shellcheck disable=SC2016 # the shell in there expands it
                in_namespace "$name" sh -c 'for f in all default; do
                        f=/proc/sys/net/ipv6/conf/$f/disable_ipv6; [ ! -e $f ] || echo 1 >$f; done'
                ip -n "$name" link set lo up
        done
        ip -n "$HOST" link add eth0 address 02:00:00:00:00:01 type veth \
                peer name eth0 address 02:00:00:00:00:02 netns "$PEER"
        ip -n "$HOST" addr add "$TARGET/24" dev eth0
        ip -n "$PEER" addr add "$ALICE/24" dev eth0
        ip -n "$PEER" addr add "$MALLORY/24" dev eth0
        ip -n "$HOST" link set eth0 up
        ip -n "$PEER" link set eth0 up
        ip -n "$PEER" neigh replace "$TARGET" lladdr 02:00:00:00:00:01 dev eth0 nud permanent
        ip -n "$HOST" neigh replace "$ALICE" lladdr 02:00:00:00:00:02 dev eth0 nud permanent
        ip -n "$HOST" neigh replace "$MALLORY" lladdr 02:00:00:00:00:02 dev eth0 nud permanent
}

make_folders() {
        WORK="$(mktemp -d "${TMPDIR:-/tmp}/bct-demo-XXXXXX")"
        mkdir "$WORK/bpffs" "$WORK/root"
        mount -t bpf bpf "$WORK/bpffs"
        cp "$EXAMPLES"/{denylist,ratelimit,flows}.bpf.o "$WORK/"
        cat >"$WORK/edge.json" <<'DOCUMENT'
{
  "programs": {
    "deny":     { "object": "denylist.bpf.o" },
    "limit":    { "object": "ratelimit.bpf.o", "globals": { "rate_pps": 1000000 } },
    "flows":    { "object": "flows.bpf.o", "function": "xdp_flows" },
    "flows-tc": { "object": "flows.bpf.o", "function": "tc_flows" }
  },
  "chains": [
    { "interfaces": ["eth0"], "hook": "xdp",        "programs": ["deny", "limit", "flows"], "counters": "all" },
    { "interfaces": ["eth0"], "hook": "tc-ingress", "programs": ["flows-tc"], "counters": "all" }
  ]
}
DOCUMENT
}

start_service() {
        printf '\n%s$ bpfchaind --bus=none --root=… --bpffs=… --socket=… &%s\n' "$DIM" "$PLAIN"
        # Not by in_namespace: $! must be the service itself.
        nsenter "--net=/run/netns/$HOST" "$SERVICE" --bus=none "--root=$WORK/root" "--bpffs=$WORK/bpffs/bpfchain" \
                "--socket=$WORK/private" --log-level=notice </dev/null >>"$WORK/log" 2>&1 &
        SERVICE_PID=$!
        for _ in {1..200}; do
                kill -0 "$SERVICE_PID" 2>/dev/null || break
                if bpfchain status --json=short 2>/dev/null | grep -q '"state":"running"'; then
                        return
                fi
                sleep 0.05
        done
        sed 's/^/   bpfchaind: /' "$WORK/log" >&2
        die "The service did not start."
}

clean_up() {
        local status=$?

        trap - EXIT
        trap '' INT TERM HUP
        set +e
        if [[ $FINISHED == no ]]; then
                ((status != 0)) || status=130
                printf '\nThe demonstration ended early. Cleaning up.\n' >&2
        fi
        if [[ -n $TRAFFIC_PID ]]; then
                kill "$TRAFFIC_PID" 2>/dev/null
                wait "$TRAFFIC_PID" 2>/dev/null
        fi
        if [[ -n $SERVICE_PID ]]; then
                kill "$SERVICE_PID" 2>/dev/null
                for _ in {1..100}; do
                        kill -0 "$SERVICE_PID" 2>/dev/null || break
                        sleep 0.05
                done
                kill -KILL "$SERVICE_PID" 2>/dev/null
                wait "$SERVICE_PID" 2>/dev/null
        fi
        if ((status != 0)) && [[ -s $WORK/log ]]; then
                sed 's/^/   bpfchaind: /' "$WORK/log" >&2
        fi
        ip netns del "$HOST" 2>/dev/null
        ip netns del "$PEER" 2>/dev/null
        if [[ -n $WORK ]]; then
                umount "$WORK/bpffs" 2>/dev/null
                rm -rf --one-file-system "$WORK"
        fi
        exit "$status"
}

# --- traffic and figures -------------------------------------------------------------------------------------------

# send SOURCE=COUNT...: and says what arrived.
send() {
        printf '\n%s$ send UDP packets from the other side: %s%s\n' "$DIM" "$*" "$PLAIN"
        python3 "$ROOT/tools/demo-traffic.py" "$PEER" "$HOST" "$TARGET" "$RATE" "$@" >"$WORK/traffic"
}

# arrived SOURCE, sent SOURCE, disorder SOURCE
arrived() {
        python3 "$ROOT/tools/demo-figure.py" traffic "$WORK/traffic" "$1" arrived
}

sent() {
        python3 "$ROOT/tools/demo-figure.py" traffic "$WORK/traffic" "$1" sent
}

disorder() {
        python3 "$ROOT/tools/demo-figure.py" traffic "$WORK/traffic" "$1" disorder
}

# figure HOOK MEMBER [PROGRAM]
figure() {
        bpfchain status --json=short | python3 "$ROOT/tools/demo-figure.py" chain eth0 "$@"
}

# The key of an LPM trie of IPv4 addresses for one address, in bytes: the prefix length, then the address.
key_of() {
        python3 -c 'import socket, struct, sys
print((struct.pack("=I", 32) + socket.inet_aton(sys.argv[1])).hex(" "))' "$1"
}

# --- the play ------------------------------------------------------------------------------------------------------

show_traffic() {
        step "Packets" "$ALICE sends 7000 packets and $MALLORY 3000. Every one goes through the three programs of" \
                "the XDP chain, and then through the one on TC. The counters must say exactly that."
        send "$ALICE=7000" "$MALLORY=3000"
        show bpfchain status
        check "arrived from $ALICE" "$(arrived "$ALICE")" 7000
        check "arrived from $MALLORY" "$(arrived "$MALLORY")" 3000
        check "seen by the XDP chain" "$(figure xdp packets)" 10000
        check "seen by deny" "$(figure xdp packets deny)" 10000
        check "seen by limit" "$(figure xdp packets limit)" 10000
        check "ended by flows, the last" "$(figure xdp ended flows)" 10000
        check "seen by the TC chain" "$(figure tc-ingress packets)" 10000
        check "ended by flows-tc with \"next\"" "$(figure tc-ingress verdicts.next flows-tc)" 10000
}

show_denial() {
        local key

        key="$(key_of "$MALLORY")"
        step "Denying a source" "One entry in the map of the denylist: $MALLORY gets class 1. No program is loaded" \
                "anew. Then both send 1000 packets."
        show bpfchain map set deny denied_v4 "$key" "$(python3 -c 'import struct
print(struct.pack("=I", 1).hex(" "))')"
        show bpfchain map dump deny denied_v4
        send "$ALICE=1000" "$MALLORY=1000"
        show bpfchain status eth0/xdp
        check "arrived from $ALICE" "$(arrived "$ALICE")" 1000
        check "arrived from $MALLORY" "$(arrived "$MALLORY")" 0
        check "dropped by deny" "$(figure xdp verdicts.drop deny)" 1000
        check "seen by flows" "$(figure xdp packets flows)" 11000
}

show_reorder() {
        local before i orders=("flows limit deny" "limit deny flows" "deny flows limit" "deny limit flows")

        step "Reordering under traffic" "$ALICE sends $RATE packets a second while the chain gets another order" \
                "$REORDERS times. Each change is one atomic swap: no packet may be lost, or overtake another."
        before="$(figure xdp packets)"
        rm -f "$WORK/enough"
        python3 "$ROOT/tools/demo-traffic.py" "$PEER" "$HOST" "$TARGET" "$RATE" --until "$WORK/enough" "$ALICE" \
                >"$WORK/traffic" &
        TRAFFIC_PID=$!
        sleep 0.3
        for ((i = 0; i < REORDERS; i++)); do
                # shellcheck disable=SC2086 # words
                if ((i < 2)); then
                        show bpfchain order eth0 xdp ${orders[i % 4]}
                else
                        bpfchain order eth0 xdp ${orders[i % 4]} >/dev/null
                fi
        done
        printf '… and %d times more\n' $((REORDERS - 2))
        sleep 0.3
        touch "$WORK/enough"
        wait "$TRAFFIC_PID"
        TRAFFIC_PID=
        show bpfchain status eth0/xdp
        check "arrived of the $(sent "$ALICE") packets sent meanwhile" "$(arrived "$ALICE")" "$(sent "$ALICE")"
        check "out of order" "$(disorder "$ALICE")" 0
        check "seen by the chain meanwhile" "$(($(figure xdp packets) - before))" "$(sent "$ALICE")"
        check "the order is the last one given" "$(figure xdp packets limit)" "$(figure xdp packets flows)"
}

show_crash() {
        local links programs packets dropped

        links="$(figure xdp link-id) $(figure tc-ingress link-id)"
        programs="$(figure xdp program-id) $(figure tc-ingress program-id)"
        packets="$(figure xdp packets)"
        dropped="$(figure xdp verdicts.drop deny)"

        step "The service dies" "SIGKILL, as in a crash. Links, programs and maps are pinned, so packets go on" \
                "through the chain: $ALICE's arrive, and $MALLORY is still denied, with no service at all."
        printf '\n%s$ kill -KILL %s%s\n' "$DIM" "$SERVICE_PID" "$PLAIN"
        kill -KILL "$SERVICE_PID"
        wait "$SERVICE_PID" 2>/dev/null || true
        SERVICE_PID=
        show bpfchain status || true
        check "exit status of the client without a service" "$(bpfchain status >/dev/null 2>&1; printf '%s' $?)" 4
        send "$ALICE=1000" "$MALLORY=1000"
        check "arrived from $ALICE" "$(arrived "$ALICE")" 1000
        check "arrived from $MALLORY" "$(arrived "$MALLORY")" 0

        step "The service comes back" "It finds the pins, compares them with what is wanted, and has nothing to do:" \
                "the same links and programs go on, and the counters know what passed in its absence."
        start_service
        show bpfchain status
        check "links, XDP and TC" "$(figure xdp link-id) $(figure tc-ingress link-id)" "$links"
        check "programs, XDP and TC" "$(figure xdp program-id) $(figure tc-ingress program-id)" "$programs"
        check "state" "$(figure xdp state) $(figure tc-ingress state)" "active active"
        check "seen by the XDP chain without the service" "$(($(figure xdp packets) - packets))" 2000
        check "dropped by deny without the service" "$(($(figure xdp verdicts.drop deny) - dropped))" 1000
}

main() {
        local name

        ((EUID == 0)) || die "The demonstration makes network namespaces, which takes root: sudo ./dev demo"
        for name in "$SERVICE" "$CLIENT" "$EXAMPLES"/{denylist,ratelimit,flows}.bpf.o; do
                [[ -e $name ]] || die "$name is not built. Run \"./dev build\"."
        done
        trap clean_up EXIT # also when a signal ends us

        step "Two network namespaces" "A wire (a veth pair) between two namespaces: one is the host that we guard," \
                "the other one is where packets come from. The machine's own interfaces are not touched."
        make_namespaces
        make_folders
        show ip -n "$HOST" -brief addr show dev eth0
        show ip -n "$PEER" -brief addr show dev eth0

        step "The service" "bpfchaind runs in the first namespace, on a private socket; no bus is needed. Its folders" \
                "and its BPF file system are temporary ones."
        start_service
        show bpfchain version

        step "A document" "It says what shall run where: denylist, rate limiter and flow counter on XDP, and the flow" \
                "counter once more on TC ingress. The service loads each program, has it verified, fuses each chain" \
                "into one program, and attaches it."
        show cat "$WORK/edge.json"
        show bpfchain apply "$WORK/edge.json"
        check "state of the chains" "$(figure xdp state) $(figure tc-ingress state)" "active active"

        show_traffic
        show_denial
        show_reorder
        show_crash

        FINISHED=yes
        printf '\n'
        if ((FAILED)); then
                printf '%s%d of %d checks failed.%s\n' "$RED" "$FAILED" "$CHECKS" "$PLAIN"
                exit 1
        fi
        printf '%sAll %d checks held.%s\n' "$GREEN" "$CHECKS" "$PLAIN"
}

main "$@"
