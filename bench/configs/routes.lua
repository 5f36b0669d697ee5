-- Requests over all virtual hosts and, with a stride that shares no factor with it, over all their routes. Arguments:
-- hosts, routes of a host, distinct requests to make.
local requests, at = {}, 0

function init(args)
    local hosts, routes, count = tonumber(args[1]), tonumber(args[2]), tonumber(args[3])
    for i = 0, count - 1 do
        local host, route = i % hosts, (i * 7919) % routes
        local headers = { Host = string.format("host-%04d.example", host), User = "admin" }
        requests[i + 1] = wrk.format("GET", string.format("/service-%05d/item", route), headers)
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end
