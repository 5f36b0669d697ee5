-- Uploads of so many bytes.
function init(args)
    wrk.method = "POST"
    wrk.body = string.rep("x", tonumber(args[1]))
end
