-- What wrk sends and reports: wrk -s bench/load.lua URL -- BODYFILE [PREFIX]
-- With PREFIX each request has an Idempotency-Key of its own that begins with it. Prints one JSON object.

local whole, prefix, count

function init(args)
   local file = assert(io.open(args[1], "rb"))
   wrk.method, wrk.body = "POST", file:read("*a")
   file:close()
   prefix, count = args[2], 0
   whole = wrk.format()
end

function request()
   if not prefix then return whole end
   count = count + 1
   wrk.headers["Idempotency-Key"] = prefix .. count
   return wrk.format()
end

function done(summary, latency, requests)
   local failed = summary.errors
   local form = '{"requests": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "max_ms": %f, '
      .. '"refused": %d, "broken": %d}\n'
   io.write(string.format(form, summary.requests, summary.duration / 1e6,
      latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
      failed.status, failed.connect + failed.read + failed.write + failed.timeout))
end
