#!/bin/sh
# Keeps the token of a 1Password service account where the provider cc-glm looks for it:
#   ~/.config/systemd/user/op-$(hostname)-token
# The token comes on stdin, so that it stands in no history and in no list of processes:
#   sh create-op-credential.sh [op://vault/item/field] < token
# It is kept only if `op read` opens the key with it. Ends with 10 when it does not, 11 without a token.
set -eu
umask 077

uri=${1:-${CC_GLM_OP_URI:-op://${CC_GLM_OP_VAULT:-dev}/Agent-Secrets-Production/ZAI_API_KEY}}
folder=$HOME/.config/systemd/user
file=$folder/op-$(cat /proc/sys/kernel/hostname 2>/dev/null || hostname)-token

if [ -t 0 ]; then
    echo "Paste the token of the service account (it is not shown), then press Enter." >&2
    stty -echo
    trap 'stty echo' EXIT
fi
IFS= read -r token || true
if [ -z "$token" ]; then
    echo "error: no token came on stdin" >&2
    exit 11
fi
if ! command -v op > /dev/null; then
    echo "error: op CLI not found: install 1Password's CLI (macOS: brew install 1password-cli; Linux: package 1password-cli)" >&2
    exit 10
fi
if ! OP_SERVICE_ACCOUNT_TOKEN=$token op read "$uri" > /dev/null; then
    echo "error: op read '$uri' failed with this token; nothing was kept. May the account read that vault?" >&2
    exit 10
fi

mkdir -p "$folder"
printf '%s\n' "$token" > "$file.new"
mv "$file.new" "$file"
echo "kept in $file; op read '$uri' works with it"
