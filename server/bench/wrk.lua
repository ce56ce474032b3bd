-- A request changes a random provider: its customer and its ID follow from its number, and four of the body's
-- sixteen properties, marked with @, get six random digits each. What can be made beforehand is.
--
-- The arguments after the URL: how many providers there are, the API key, the body, a seed and, to have the status of
-- every answer looked at, "check".

local floor, random = math.floor, math.random
local providers
local hex = {} -- three digits each
local path, between, rest, b1, b2, b3, b4, b5

function init(arguments)
   local key, body, check
   providers, key, body, check = tonumber(arguments[1]), arguments[2], arguments[3], arguments[5]
   math.randomseed(tonumber(arguments[4]))
   for i = 0, 4095 do hex[i] = string.format("%03x", i) end
   b1, b2, b3, b4, b5 = body:match("^(.-)@(.-)@(.-)@(.-)@(.-)$")
   path = "PATCH /v2/customers/00000000-0000-4000-8000-000000"
   between = "/providers/00000000-0000-4000-8000-000000"
   rest = " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nx-api-key: " .. key ..
      "\r\nContent-Length: " .. #body - 4 + 4 * 6 .. "\r\n\r\n" .. b1
   if check == "check" then response = count end
end

function request()
   local provider, digits = random(0, providers - 1), random(100000, 999999)
   local customer = floor(provider / 10)
   return path .. hex[floor(customer / 4096)] .. hex[customer % 4096] ..
      between .. hex[floor(provider / 4096)] .. hex[provider % 4096] ..
      rest .. digits .. b2 .. digits .. b3 .. digits .. b4 .. digits .. b5
end

local loader
wrong = 0

function setup(thread) loader = thread end

function count(status)
   if status ~= 200 then wrong = wrong + 1 end
end

-- Prints the totals, and then how many answers took how many microseconds, a line for each time.
function done(summary, latency)
   local e = summary.errors
   print("totals", summary.duration, summary.requests, e.connect + e.read + e.write + e.timeout, e.status + loader:get("wrong"))
   for i = 1, #latency do print(latency(i)) end
end
