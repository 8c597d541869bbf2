-- scaleplan_submit.lua: parks new multi-node jobs for a few seconds, so that a planner outside slurmctld can place them.
--
-- What it does: gives a job a begin time PARK_S ahead and a mark in its admin comment, and only while the planner's
-- heartbeat file is fresh. It reads that one small file and does nothing else. If the planner is not there, jobs go
-- straight to Slurm; if it stops after a job was parked, Slurm starts the job when PARK_S is over.
--
-- How it is called: one line in job_submit.lua, after slurm_job_submit is defined:
--     slurm_job_submit = dofile("/etc/slurm/scaleplan_submit.lua").wrap(slurm_job_submit, { heartbeat = "..." })
--
-- It runs under slurmctld's locks: every step is inside pcall, every field is tested for nil, nothing waits.

local M = { version = "1" }

local MARK = "scaleplan:parked"
local MAX_PARK_S = 3600
local DEFAULTS = { heartbeat = "/run/scaleplan/heartbeat", min_nodes = 2, max_age_s = 5 }

-- Slurm's "not set" values of 16 and 32 bits (NO_VAL16, NO_VAL and INFINITE); fields of a job hold numbers or nil.
local UNSET = { [0] = true, [65534] = true, [65535] = true, [4294967294] = true, [4294967295] = true }

local function number_or_nil(value)
   if type(value) ~= "number" or UNSET[value] then
      return nil
   end
   return value
end

local function is_text(value)
   return type(value) == "string" and value ~= ""
end

-- Number of nodes the job asks for, or nil when it is not one fixed number.
local function num_nodes(job)
   local least, most = number_or_nil(job.min_nodes), number_or_nil(job.max_nodes)
   if least then
      if most and most ~= least then
         return nil
      end
      return least
   end
   local tasks, per_node = number_or_nil(job.num_tasks), number_or_nil(job.ntasks_per_node)
   if tasks and per_node then
      return math.ceil(tasks / per_node)
   end
   return nil
end

-- Jobs that say themselves when or where they run, and jobs that need no planning, are left alone.
local function is_left_alone(job, settings)
   if is_text(job.req_nodes) or is_text(job.dependency) or is_text(job.reservation) then
      return true
   end
   if number_or_nil(job.begin_time) or number_or_nil(job.immediate) or number_or_nil(job.deadline) then
      return true
   end
   if job.priority == 0 or number_or_nil(job.contiguous) then
      return true
   end
   local het = job.het_job_offset
   if type(het) == "number" and het ~= 4294967294 then
      return true
   end
   if is_text(job.comment) and string.find(job.comment, "scaleplan: off", 1, true) then
      return true
   end
   local nodes = num_nodes(job)
   return nodes == nil or nodes < settings.min_nodes
end

-- Seconds to park for, or nil when the planner is not alive or only observes.
local function read_park_s(settings)
   local file = io.open(settings.heartbeat, "r")
   if not file then
      return nil
   end
   local line = file:read(120)
   file:close()
   if type(line) ~= "string" then
      return nil
   end
   local stamp, mode, park_s = string.match(line, "^scaleplan 1 (%d+) (%a+) (%d+)%s")
   stamp, park_s = tonumber(stamp), tonumber(park_s)
   if not stamp or not park_s or (mode ~= "pin" and mode ~= "prefer") then
      return nil
   end
   local age_s = os.time() - stamp
   if age_s < -1 or age_s > settings.max_age_s or park_s < 1 or park_s > MAX_PARK_S then
      return nil
   end
   return park_s
end

local function park(job, settings)
   if is_left_alone(job, settings) then
      return
   end
   local park_s = read_park_s(settings)
   if not park_s then
      return
   end
   local mark = MARK
   if is_text(job.admin_comment) then
      mark = job.admin_comment .. "|" .. MARK
   end
   job.admin_comment = mark -- before the begin time: if this fails, the job is not parked
   job.begin_time = os.time() + park_s
end

local function settings_from(given)
   local settings = {}
   for key, value in pairs(DEFAULTS) do
      settings[key] = value
      if type(given) == "table" and type(given[key]) == type(value) then
         settings[key] = given[key]
      end
   end
   return settings
end

-- Park one job if it is to be planned; never fails, never changes the answer to the user.
function M.submit(job, given)
   local done, message = pcall(function()
      park(job, settings_from(given))
   end)
   if not done then
      pcall(function()
         slurm.log_info("scaleplan: job left to Slurm: %s", tostring(message))
      end)
   end
end

-- Return a slurm_job_submit that does what the site's own does and then parks the jobs it accepted.
function M.wrap(inner, given)
   return function(job, parts, uid)
      local answer = slurm.SUCCESS
      if type(inner) == "function" then
         answer = inner(job, parts, uid)
      end
      if answer == slurm.SUCCESS or answer == nil then
         M.submit(job, given)
      end
      return answer
   end
end

return M
