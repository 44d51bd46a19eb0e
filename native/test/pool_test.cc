// Jobs and the pool: everything runs once, stops when told, and ends.
#include <algorithm>
#include <latch>
#include <numeric>
#include <stdexcept>

#include "../core/pool.h"
#include "check.h"

namespace cryptotensors {
namespace {

// Counts how often each item runs.
class CountingJob : public Job {
 public:
  CountingJob(size_t items, unsigned threads) : Job(threads), limit_(threads), runs(items) {}

  void wait() { ended.wait(); }

  const unsigned limit_;
  std::vector<std::atomic<int>> runs;
  std::atomic<unsigned> inside = 0, most = 0;
  std::atomic<int> finished = 0;
  std::latch ended{1};
  // Item that fails, throws or cancels, or -1.
  int fails = -1, throws = -1, cancels = -1;
  // What an item takes, so that one thread does not do all of them while another one is about to report.
  std::chrono::microseconds pause{0};

 protected:
  size_t plan(Worker&) override { return runs.size(); }
  Fault run(size_t item, Worker& worker) override {
    const unsigned now = ++inside;
    for (unsigned seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
    }
    worker.buffer(4096)[0] = 1;
    ++runs[item];
    const int index = static_cast<int>(item);
    if (pause.count() > 0) std::this_thread::sleep_for(pause);
    --inside;
    if (index == throws) throw std::runtime_error("thrown");
    if (index == cancels) cancel();
    if (index == fails) return {.code = Code::bad_tag, .tensor = 5, .chunk = index, .message = "failed"};
    return {};
  }
  Fault finish(Fault fault) noexcept override {
    ++finished;
    CHECK(inside == 0);
    return fault;
  }
};

std::shared_ptr<CountingJob> started(size_t items, unsigned threads) {
  auto job = std::make_shared<CountingJob>(items, threads);
  job->on_end([raw = job.get()] { raw->ended.count_down(); });
  Pool::instance().start(job);
  return job;
}

bool all_once(const CountingJob& job) {
  return std::all_of(job.runs.begin(), job.runs.end(), [](const auto& runs) { return runs == 1; });
}

int total_runs(const CountingJob& job) {
  return std::accumulate(job.runs.begin(), job.runs.end(), 0, [](int sum, const auto& runs) { return sum + runs; });
}

}  // namespace

TEST(every_item_runs_once) {
  Pool::instance().set_size(4);
  std::vector<std::shared_ptr<CountingJob>> jobs;
  for (unsigned i = 0; i < 200; ++i) jobs.push_back(started(i * 7 % 50, i % 5));
  for (const auto& job : jobs) {
    job->wait();
    CHECK(!job->fault());
    CHECK(all_once(*job));
    CHECK(job->finished == 1);
    CHECK(job->limit_ == 0 || job->most <= job->limit_);
  }
}

TEST(callers_help) {
  std::vector<std::thread> callers;
  for (unsigned caller = 0; caller < 4; ++caller) {
    callers.emplace_back([caller] {
      for (unsigned i = 0; i < 50; ++i) {
        const auto job = std::make_shared<CountingJob>((i + caller) % 20, i % 3);
        Pool::instance().run(job);
        CHECK(all_once(*job));
        CHECK(job->finished == 1);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
}

TEST(a_fault_stops_the_job) {
  for (int i = 0; i < 50; ++i) {
    auto job = std::make_shared<CountingJob>(10000, 0);
    job->fails = i;
    job->pause = std::chrono::microseconds(100);
    Pool::instance().run(job);
    CHECK(job->fault().code == Code::bad_tag);
    CHECK(job->fault().chunk == i);
    CHECK(job->finished == 1);
    CHECK(total_runs(*job) < 10000);
  }
}

TEST(the_lowest_chunk_is_reported) {
  auto job = std::make_shared<FunctionJob>(4, [](size_t item) {
    return Fault{.code = Code::bad_tag, .tensor = 1, .chunk = 10 - static_cast<int64_t>(item), .message = {}};
  });
  Pool::instance().run(job);
  CHECK(job->fault().tensor == 1);
  CHECK(job->fault().chunk <= 10);
}

TEST(what_is_thrown_becomes_a_fault) {
  auto job = std::make_shared<CountingJob>(100, 0);
  job->throws = 3;
  Pool::instance().run(job);
  CHECK(job->fault().code == Code::invalid);
  CHECK(job->fault().message == "thrown");
  CHECK(job->finished == 1);
}

TEST(cancelled_jobs_end) {
  // Before they are started: nothing runs.
  auto early = std::make_shared<CountingJob>(100, 0);
  early->cancel();
  Pool::instance().run(early);
  CHECK(early->fault().code == Code::aborted);
  CHECK(total_runs(*early) == 0);
  CHECK(early->finished == 1);
  // From within, and from outside.
  auto within = std::make_shared<CountingJob>(100000, 0);
  within->cancels = 5;
  within->pause = std::chrono::microseconds(100);
  Pool::instance().run(within);
  CHECK(within->fault().code == Code::aborted);
  CHECK(total_runs(*within) < 100000);
  for (int i = 0; i < 100; ++i) {
    const auto job = started(100000, static_cast<unsigned>(i % 3));
    for (int spin = 0; spin < i * 10; ++spin) std::this_thread::yield();
    job->cancel();
    job->wait();
    CHECK(job->finished == 1);
    CHECK(job->fault().code == Code::aborted || all_once(*job));
  }
}

}  // namespace cryptotensors

namespace cryptotensors {
namespace {

// Throws where it is planned.
class ThrowingPlan final : public Job {
 public:
  ThrowingPlan() : Job(0) {}
  std::atomic<int> finished = 0;

 protected:
  size_t plan(Worker&) override { throw std::bad_alloc(); }
  Fault run(size_t, Worker&) override { return {}; }
  Fault finish(Fault fault) noexcept override {
    ++finished;
    return fault;
  }
};

}  // namespace

// Between being counted and being started: whoever waits for the job must not wait for ever.
TEST(a_job_whose_plan_throws_ends) {
  for (int i = 0; i < 50; ++i) {
    const auto called = std::make_shared<ThrowingPlan>();
    Pool::instance().run(called);
    CHECK(called->fault());
    CHECK(called->finished == 1);
    std::latch ended{1};
    const auto started = std::make_shared<ThrowingPlan>();
    started->on_end([&] { ended.count_down(); });
    Pool::instance().start(started);
    ended.wait();
    CHECK(started->fault());
    CHECK(started->finished == 1);
  }
}

// Each item waits until the other one is under way: on one thread that would be never.
TEST(two_jobs_of_one_item_run_on_two_threads) {
  Pool::instance().set_size(2);
  for (int i = 0; i < 200; ++i) {
    const auto both = std::make_shared<std::latch>(2);
    std::latch ended{2};
    for (int job = 0; job < 2; ++job) {
      auto waiting = std::make_shared<FunctionJob>(1, [both](size_t) {
        both->arrive_and_wait();
        return Fault{};
      });
      waiting->on_end([&] { ended.count_down(); });
      Pool::instance().start(std::move(waiting));
    }
    ended.wait();
  }
}

}  // namespace cryptotensors
