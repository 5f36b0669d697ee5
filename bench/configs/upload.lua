-- 64 KiB uploads.
wrk.method = "POST"
wrk.body = string.rep("x", 65536)
