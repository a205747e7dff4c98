# bash completion for gravscope, printed by: gravscope completion bash
# For bash 4.4 or later. Only names and ids of jobs are asked for, everything else stands in here.

# Sets commands, options and arguments to what may follow "$1", the words of a command. An option is followed by what
# its value is, if it has one.
_gravscope_table() {
  commands='' options='' arguments=''
  case $1 in
#table#
  esac
}

# Sets words to those of the line up to the cursor, --option=value as one, and places to where each began.
_gravscope_words() {
  local line=${COMP_LINE:0:COMP_POINT} i
  for ((i = 0; i <= COMP_CWORD; i++)); do
    if ((i == 0)) || [[ $line == [[:space:]]* ]]; then
      line=${line#"${line%%[![:space:]]*}"}
      words+=('')
      places+=("$i")
    fi
    if ((i == COMP_CWORD)); then
      words[-1]+=$line
    else
      words[-1]+=${COMP_WORDS[i]}
      line=${line#"${COMP_WORDS[i]}"}
    fi
  done
}

# Sets REPLY to what the value of option "$1" is; empty for a flag, and for one that has its value with it.
_gravscope_kind() {
  local option
  REPLY=''
  for option in $options; do
    [[ $option == "$1="* ]] && REPLY=${option#*=}
  done
}

# Sets REPLY to what the argument number "$1" is.
_gravscope_argument() {
  local -a kinds
  read -ra kinds <<<"$arguments"
  REPLY=${kinds[$1]:-}
  [[ ! $REPLY && $arguments == *... ]] && REPLY=${arguments##* }
  REPLY=${REPLY%...}
}

# Completes "$2", which is to be one of "$1".
_gravscope_value() {
  case $1 in
    @ask:*)
      if [[ $2 == */* ]]; then
        compopt -o default
        return
      fi
      compopt -o nosort
      mapfile -t COMPREPLY < <("${program/#\~\//$HOME/}" _complete "${1#@ask:}" "$2" 2>/dev/null)
      COMPREPLY=("${COMPREPLY[@]%%$'\t'*}")
      ;;
    @files) compopt -o default ;;
    @folders) compopt -o dirnames ;;
    @command)
      compopt -o default
      [[ $2 == */* || ! $2 ]] || mapfile -t COMPREPLY < <(compgen -c -- "$2")
      ;;
    @nothing | '') ;;
    *) mapfile -t COMPREPLY < <(compgen -W "${1//|/ }" -- "$2") ;;
  esac
}

_gravscope() {
  local IFS=$' \t\n' program=$1 path='' kind='' ended='' count=0 commands options arguments REPLY word i
  local -a words=() places=()
  _gravscope_words
  local current=${words[-1]}
  COMPREPLY=()
  _gravscope_table ''
  for ((i = 1; i < ${#words[@]} - 1; i++)); do
    word=${words[i]}
    if [[ $kind ]]; then
      kind=''
    elif [[ ! $ended && $word == -- ]]; then
      ended=yes
    elif [[ ! $ended && $word == -* ]]; then
      _gravscope_kind "$word"
      kind=$REPLY
    elif [[ $commands ]]; then
      path+=${path:+ }$word
      _gravscope_table "$path"
    else
      _gravscope_argument "$count"
      if [[ $REPLY == @command ]]; then
        # from here on it is another command's line
        if declare -F _command_offset >/dev/null; then _command_offset "${places[i]}"; else compopt -o default; fi
        return
      fi
      ((++count))
    fi
  done
  if [[ $kind ]]; then
    _gravscope_value "$kind" "$current"
  elif [[ ! $ended && $current == --*=* ]]; then
    _gravscope_kind "${current%%=*}"
    _gravscope_value "$REPLY" "${current#*=}"
    # where = ends a word, only what stands behind it is replaced
    [[ $COMP_WORDBREAKS == *=* ]] || COMPREPLY=("${COMPREPLY[@]/#/"${current%%=*}="}")
  elif [[ ! $ended && $current == -* ]]; then
    local -a names
    read -ra names <<<"$options"
    mapfile -t COMPREPLY < <(compgen -W "${names[*]%%=*}" -- "$current")
  elif [[ $commands ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
  else
    _gravscope_argument "$count"
    _gravscope_value "$REPLY" "$current"
  fi
}

complete -F _gravscope gravscope
