// What a session tells of the time of its ops: each product with the work that the plan asks for.
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "engine/cpu/session.h"
#include "model_of_test.h"

namespace assay::cpu {
namespace {

class OnlyLogits : public TapSink {
 public:
  explicit OnlyLogits(int layers) : TapSink(layers) { want({Tap::logits, -1}); }
  void take(TapId, Rows<const float>) override {}
};

class OpTimes : public testing::Test {
 protected:
  void run(int tokens) {
    const std::vector<std::int64_t> ids(std::size_t(tokens), 7);
    OnlyLogits logits(deepest(checkpoint_.plan));
    Forward call;
    call.ids = {ids.data(), 1, tokens};
    call.logit_rows = 1;
    ASSERT_TRUE(session_->forward(call, logits));
  }
  std::map<std::string, OpTime> ops() const {
    std::map<std::string, OpTime> ops;
    for (const OpTime& time : session_->op_times()) EXPECT_TRUE(ops.emplace(time.op, time).second) << time.op;
    return ops;
  }

  Checkpoint checkpoint_ = test_checkpoint();
  std::unique_ptr<TextSession> session_ = TextSession::open(checkpoint_, {.threads = 2}).value();
};

TEST_F(OpTimes, AreNoneUnlessAskedFor) {
  run(3);
  EXPECT_TRUE(session_->op_times().empty());
  session_->time_ops(true);
  run(3);
  EXPECT_FALSE(session_->op_times().empty());
  session_->time_ops(false);
  run(3);
  EXPECT_TRUE(session_->op_times().empty());
}

TEST_F(OpTimes, StartAgainFromZero) {
  session_->time_ops(true);
  run(3);
  const std::int64_t calls = ops().at("head").calls;
  session_->time_ops(true);
  run(3);
  EXPECT_EQ(ops().at("head").calls, calls);
}

TEST_F(OpTimes, CountTheWorkOfRowsThatAreComputed) {
  session_->time_ops(true);
  run(40);
  const Plan& plan = checkpoint_.plan;
  double gate_up = 0, down = 0;
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    const double rows = i < 3 ? 40 : 1;  // layer 3 is the last with K/V of its own: behind them one row will do
    gate_up += 2 * rows * 2 * plan.layers[i].ffn_width * plan.hidden;
    down += 2 * rows * plan.layers[i].ffn_width * plan.hidden;
  }
  const auto all = ops();
  EXPECT_EQ(all.at("mlp.gate_up").flops, gate_up);
  EXPECT_EQ(all.at("mlp.down").flops, down);
  EXPECT_EQ(all.at("head").flops, 2.0 * plan.vocab * plan.hidden);
  EXPECT_EQ(all.at("head").bytes, 2.0 * plan.vocab * plan.hidden);
  EXPECT_EQ(all.at("head").roof, "fp32");
  EXPECT_EQ(all.at("experts.down").flops, 2.0 * (3 * 40 + 3) * 2 * 64 * plan.hidden);
}

TEST_F(OpTimes, AreNoLongerThanTheCalls) {
  session_->time_ops(true);
  const auto start = std::chrono::steady_clock::now();
  run(40);
  run(1);
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
  double sum = 0;
  for (const auto& [name, op] : ops()) {
    EXPECT_GE(op.seconds, 0) << name;
    sum += op.seconds;
  }
  EXPECT_GT(sum, 0);
  EXPECT_LE(sum, passed.count());
}

}  // namespace
}  // namespace assay::cpu
