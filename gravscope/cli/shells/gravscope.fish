# fish completion for gravscope, printed by: gravscope completion fish
# Only names and ids of jobs are asked for, everything else stands in here.

# The words of the command so far, the number of its arguments, and what follows the first of them where that is a
# command of its own; each on a line, with its own first word.
function __gravscope_line
    set -l groups '' #groups#
    set -l path
    set -l count 0
    set -l skip 0
    set -l ended 0
    set -l tokens (commandline -opc)
    set -e tokens[1]
    while set -q tokens[1]
        set -l token $tokens[1]
        if test $skip = 1
            set skip 0
        else if test $ended = 0; and test "x$token" = x--
            set ended 1
        else if test $ended = 0; and string match -q -- '-*' $token
            contains -- $token (__gravscope_taking "$path"); and set skip 1
        else if contains -- "$path" $groups
            set path (string trim -- "$path $token")
        else
            if contains -- "$path" #launching#
                echo command (string escape -- $tokens)
                return
            end
            set count (math $count + 1)
        end
        set -e tokens[1]
    end
    echo $count $path
end

# Whether the words of the command so far are "$argv[1]", with fewer arguments than $argv[2] if that is given.
function __gravscope_at
    set -l line (__gravscope_line | string split -m 1 ' ')
    test "$line[1]" != command; and test "$line[2]" = "$argv[1]"
    and begin
        not set -q argv[2]
        or test $line[1] -lt $argv[2]
    end
end

# Whether the cursor is in the line of a command to be run, and how that may go on.
function __gravscope_in_command
    string match -q 'command *' -- (__gravscope_line)
end

function __gravscope_command
    complete -C (string replace -r '^command ' '' -- (__gravscope_line))' '(commandline -ct | string collect)
end

# Names and ids of jobs, as gravscope orders them: those of live ones first.
function __gravscope_ask
    set -l program (commandline -opc | string replace -r '^~/' "$HOME/")[1]
    set -l token (commandline -ct | string replace -r '^--[^=]*=' '')
    if string match -q '*/*' -- $token
        __fish_complete_path $token
    else if type -q $program
        $program _complete $argv[1] "$token" 2>/dev/null
    end
end

# The options of "$argv[1]" that take a value.
function __gravscope_taking
    switch "$argv[1]"
#taking#
    end
end

complete -c gravscope -f
complete -c gravscope -n __gravscope_in_command -F
complete -c gravscope -n __gravscope_in_command -a '(__gravscope_command)'
#completions#
