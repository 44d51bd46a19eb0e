// The addon as a loaded library: it outlives the environments that load it, and its threads end before the process does.
#pragma once

namespace cryptotensors::binding {

// Node.js unloads an addon when the last worker that loaded it ends, but the pool's threads still run its code.
void stay_loaded() noexcept;

// Pool threads must have left OpenSSL before its own exit handler frees what they use. process.exit() runs no environment's
// cleanup hooks, so jobs may be under way even then.
void stop_threads_at_exit() noexcept;

}  // namespace cryptotensors::binding
