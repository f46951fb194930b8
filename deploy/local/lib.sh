# Shared by up and down: processes that are known by number and time of birth.
# shellcheck shell=bash

# born prints when a process was started, in clock ticks since boot (field 22 of
# proc(5) stat), or fails if there is none. A number that the system has given to
# somebody else since has another time.
born() {
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	# The name in parentheses may hold spaces; what follows it does not. A zombie
	# has ended.
	read -ra stat <<<"${stat##*) }"
	[ "${stat[0]}" != Z ] && echo "${stat[19]}"
}

# record writes down a process that was started here: record DIR NAME PID
record() {
	printf '%s %s\n' "$3" "$(born "$3")" >"$1/pids/$2"
}

# alive prints the number of a recorded process if it still runs: alive FILE
alive() {
	local pid since
	read -r pid since <"$1" || return 1
	[ -n "$since" ] && [ "$(born "$pid")" = "$since" ] && echo "$pid"
}

# stop ends recorded processes and waits for them: stop SECONDS SIGNAL FILE...
stop() {
	local limit=$1 signal=$2 file pid
	shift 2
	for file; do
		if pid=$(alive "$file"); then kill "-$signal" "$pid" 2>/dev/null || true; fi
	done
	for ((i = 0; i < limit * 10; i++)); do
		local left=0
		for file; do alive "$file" >/dev/null && left=1; done
		[ $left = 0 ] && return 0
		sleep 0.1
	done
	for file; do
		if pid=$(alive "$file"); then kill -KILL "$pid" 2>/dev/null || true; fi
	done
}

# launch starts a server in the background as up has written it down: launch DIR NAME
launch() {
	setsid bash -c "exec $(cat "$1/start/$2")" </dev/null >>"$1/log/$2" 2>&1 &
	record "$1" "$2" $!
}
