"""People's addresses: chat, mail, web hooks. An address holds a token, so nothing but its scheme leaves this room."""
