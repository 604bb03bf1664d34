# Sourced by scripts/run and scripts/test: finds a Python, and keeps the environment in .venv.
# shellcheck shell=bash

say() { printf '%s\n' "$*" >&2; }

# Says whether $1 is a Python that is new enough and can make an environment with pip in it.
# Answers 0 for yes, 1 for too old or not there, 2 for new enough but without venv or ensurepip.
judge_python() {
    command -v "$1" >/dev/null 2>&1 || return 1
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || return 1
    "$1" -c 'import venv, ensurepip' >/dev/null 2>&1 || return 2
}

# Says in one sentence which command gets a usable Python on this system. $1: a Python that lacks venv, or empty.
explain_python() {
    local command
    if [ -n "$1" ] && command -v apt-get >/dev/null 2>&1; then
        command="apt-get install $("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    elif command -v apt-get >/dev/null 2>&1; then
        command="apt-get install python3 python3-venv"
    elif command -v dnf >/dev/null 2>&1; then
        command="dnf install python3.12"
    elif command -v apk >/dev/null 2>&1; then
        command="apk add python3"
    elif command -v pacman >/dev/null 2>&1; then
        command="pacman -S python"
    elif command -v zypper >/dev/null 2>&1; then
        command="zypper install python312"
    elif command -v brew >/dev/null 2>&1; then
        command="brew install python@3.12"
    else
        say "Indelible needs Python 3.11 or newer with its venv module; install one and run this again."
        return
    fi
    [ "$(id -u)" = 0 ] || [ "${command#brew}" != "$command" ] || command="sudo $command"
    say "Indelible needs Python 3.11 or newer that can make an environment; get it with: $command"
}

find_python() {
    local candidate lacking="" verdict
    for candidate in ${INDELIBLE_PYTHON:-} python3.13 python3.12 python3.11 python3 python3.14 python; do
        verdict=0
        judge_python "$candidate" || verdict=$?
        if [ "$verdict" = 0 ]; then
            command -v "$candidate"
            return
        fi
        [ "$verdict" != 2 ] || [ -n "$lacking" ] || lacking=$candidate
    done
    explain_python "$lacking"
    return 1
}

# Brings .venv to what pyproject.toml asks for. $1: "run", or "dev" for what the tests need as well.
# A stamp of the file, the place and the kind makes the second time quick; dev serves run too.
ensure_environment() {
    local kind=$1 extra="[server]" python sum stamp=.venv/indelible-stamp
    [ "$kind" = run ] || extra="[dev]"
    sum="$(cksum <pyproject.toml) $PWD"
    if [ -x .venv/bin/python ] && [ -f "$stamp" ]; then
        case "$(cat "$stamp")" in
            "dev $sum") return 0 ;;
            "$kind $sum") return 0 ;;
            *"$sum") [ "$kind" = dev ] || return 0 ;;
            *" $PWD") ;;
            *) rm -rf .venv ;; # it was made in another folder: its scripts point there
        esac
    fi
    if ! .venv/bin/python -c 'import pip' >/dev/null 2>&1; then
        python=$(find_python) || return 1
        say "Making .venv with $("$python" --version 2>&1) …"
        rm -rf .venv
        "$python" -m venv .venv
    fi
    say "Installing what pyproject.toml lists into .venv (once; half a minute or so) …"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".$extra" || {
        say "The installation failed; its reason stands above. Check the network or the index that pip uses, and run this again."
        return 1
    }
    printf '%s %s\n' "$kind" "$sum" >"$stamp"
}
