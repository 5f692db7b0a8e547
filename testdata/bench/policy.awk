# Makes the bench's policy.toml of a shipped one.
/^mode = /    { print "mode = \"" mode "\""; next }
/^\[listen\]/ { print; print "milter = [\"" listen "\"]"; print "admin = \"\""; next }
/^\[server\]/ { print; print "name = \"mx.bench.example\""; print "directory = \"" directory "\""; next }
/^\[trust\]/  { print; print "networks = []"; next }
/^\[dns\]/    { print; print "servers = [\"127.0.0.1:53\"]"; next }
{ print }
