-- The hold gate: requests wait here, before HAProxy chooses a server, while a cutover has no server for them.
--   hold none   pass (but wait while no server is usable)
--   hold long   hold requests with long bodies, so that the short ones can drain
--   hold all    hold all requests
-- The runtime socket sets the mode and the agent saves it, so a crashed proxy restarts in the same mode.

local MODES = { none = true, long = true, all = true }
local POLL_MS = 25            -- a waiting request notices a change within this time
local STATE = "/var/lib/haproxy/hold"

local long_bytes = tonumber(os.getenv("HOLD_LONG_BYTES") or "400")
local budget_s = tonumber(os.getenv("HOLD_BUDGET_S") or "60")
local STALE_S = 2             -- HAProxy drops the coroutine of a client that disconnects, so its ticket goes stale

local waiting, tickets = {}, 0 -- ticket -> time of its last poll

local function held()
  local count, now = 0, core.now().sec
  for ticket, polled_at in pairs(waiting) do
    if now - polled_at > STALE_S then waiting[ticket] = nil else count = count + 1 end
  end
  return count
end

local function saved_mode()
  local file = io.open(STATE, "r")
  if not file then return "none" end
  local mode = file:read("*l")
  file:close()
  return MODES[mode] and mode or "none"
end

local mode = saved_mode()

core.register_cli({ "hold" }, "hold [none|long|all] : show or set the gate's mode; show the number of held requests", function(applet, _, wanted)
  if wanted and wanted ~= "" then
    if not MODES[wanted] then
      applet:send("hold accepts none, long or all, not '" .. wanted .. "'\n")
      return
    end
    mode = wanted
  end
  applet:send(mode .. " " .. held() .. "\n")
end)

local function must_wait(txn, length)
  return mode == "all" or (mode == "long" and length > long_bytes) or txn.f:nbsrv("app") == 0
end

core.register_action("hold", { "http-req" }, function(txn)
  -- A body of unknown length counts as long.
  local length = tonumber(txn.f:req_hdr("content-length") or "") or math.huge
  if not must_wait(txn, length) then return end
  tickets = tickets + 1
  local ticket, deadline = tickets, core.now().sec + budget_s
  while must_wait(txn, length) and core.now().sec < deadline do
    waiting[ticket] = core.now().sec
    core.msleep(POLL_MS)
  end
  waiting[ticket] = nil
  if must_wait(txn, length) then
    local reply = txn:reply({ status = 503, reason = "Service Unavailable" })
    reply:add_header("Content-Type", "application/json")
    reply:add_header("Retry-After", "5")
    reply:set_body('{"error":{"message":"No model was available in time; nothing was synthesized. Retry in a few seconds.",'
      .. '"type":"service_unavailable","code":"held_too_long","param":null}}\n')
    txn:done(reply)
  end
end, 0)
