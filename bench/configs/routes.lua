-- One request for each of hosts x routes, in an order that jumps about (7919 is a prime, so each is made once).
-- Arguments: hosts, routes of each host.
local requests, at = {}, 0

function init(args)
    local hosts, routes = tonumber(args[1]), tonumber(args[2])
    local total = hosts * routes
    for i = 0, total - 1 do
        local j = (i * 7919) % total
        local headers = { Host = string.format("host-%04d.example", j % hosts), User = "admin" }
        requests[i + 1] = wrk.format("GET", string.format("/service-%05d/item", math.floor(j / hosts)), headers)
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end
