// The lists that come as streams, over a real channel.

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/unit/cri/served.h"

namespace pinion::cri {
namespace {

class StreamListTest : public ServedTest {
 protected:
  // All items of a stream, by what `id` says of each; each may come once.
  template <typename Response, typename Reader, typename Items, typename Id>
  std::set<std::string> Read(Reader reader, Items items, Id id) {
    std::set<std::string> seen;
    Response message;
    messages_ = 0;
    while (reader->Read(&message)) {
      ++messages_;
      EXPECT_GT(items(message).size(), 0);
      for (const auto& item : items(message)) {
        EXPECT_TRUE(seen.insert(id(item)).second) << "twice: " << id(item);
      }
    }
    const grpc::Status status = reader->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    return seen;
  }

  int messages_ = 0;
  grpc::ClientContext context_;
};

TEST_F(StreamListTest, PodsThatMatch) {
  const std::string one = RunPod("web-0");
  const std::string two = RunPod("web-1");
  const auto id = [](const api::PodSandbox& pod) { return pod.id(); };
  const auto items =
      [](const api::StreamPodSandboxesResponse& m) -> const auto& {
    return m.pod_sandboxes();
  };
  EXPECT_EQ(Read<api::StreamPodSandboxesResponse>(
                rpc_->StreamPodSandboxes(&context_, {}), items, id),
            (std::set<std::string>{one, two}));
  api::StreamPodSandboxesRequest request;
  request.mutable_filter()->set_id(two);
  grpc::ClientContext context;
  EXPECT_EQ(Read<api::StreamPodSandboxesResponse>(
                rpc_->StreamPodSandboxes(&context, request), items, id),
            std::set<std::string>{two});
}

TEST_F(StreamListTest, NothingIsAnEmptyStream) {
  EXPECT_TRUE(Read<api::StreamContainersResponse>(
                  rpc_->StreamContainers(&context_, {}),
                  [](const api::StreamContainersResponse& m) -> const auto& {
                    return m.containers();
                  },
                  [](const api::Container& c) { return c.id(); })
                  .empty());
  EXPECT_EQ(messages_, 0);
}

TEST_F(StreamListTest, MoreThanOneMessageHolds) {
  std::set<std::string> want;
  for (int i = 0; i < 40; ++i) {
    state::ContainerRecord record;
    record.set_id("c" + std::to_string(i));
    (*record.mutable_spec()->mutable_annotations())["note"] =
        std::string(size_t{1} << 20, 'x');
    runtime_.PutContainer(record);
    want.insert(record.id());
  }
  EXPECT_EQ(Read<api::StreamContainersResponse>(
                rpc_->StreamContainers(&context_, {}),
                [](const api::StreamContainersResponse& m) -> const auto& {
                  return m.containers();
                },
                [](const api::Container& c) { return c.id(); }),
            want);
  EXPECT_EQ(messages_, 40);
}

TEST_F(StreamListTest, StatisticsAndMetrics) {
  const std::string pod = RunPod();
  const std::string container = Create(pod);
  EXPECT_EQ(
      Read<api::StreamContainerStatsResponse>(
          rpc_->StreamContainerStats(&context_, {}),
          [](const api::StreamContainerStatsResponse& m) -> const auto& {
            return m.container_stats();
          },
          [](const api::ContainerStats& s) { return s.attributes().id(); }),
      std::set<std::string>{container});
  grpc::ClientContext pods;
  EXPECT_EQ(
      Read<api::StreamPodSandboxStatsResponse>(
          rpc_->StreamPodSandboxStats(&pods, {}),
          [](const api::StreamPodSandboxStatsResponse& m) -> const auto& {
            return m.pod_sandbox_stats();
          },
          [](const api::PodSandboxStats& s) { return s.attributes().id(); }),
      std::set<std::string>{pod});
  grpc::ClientContext metrics;
  EXPECT_EQ(
      Read<api::StreamPodSandboxMetricsResponse>(
          rpc_->StreamPodSandboxMetrics(&metrics, {}),
          [](const api::StreamPodSandboxMetricsResponse& m) -> const auto& {
            return m.pod_sandbox_metrics();
          },
          [](const api::PodSandboxMetrics& m) { return m.pod_sandbox_id(); }),
      std::set<std::string>{pod});
  EXPECT_NE(
      this->metrics_->Render().find("pinion_cri_rpc_requests_total{method="
                                    "\"StreamPodSandboxMetrics\"} 1"),
      std::string::npos);
}

TEST_F(StreamListTest, Images) {
  std::set<std::string> want;
  for (const auto& info : images_.List()) want.insert(info.id);
  EXPECT_EQ(Read<api::StreamImagesResponse>(
                image_rpc_->StreamImages(&context_, {}),
                [](const api::StreamImagesResponse& m) -> const auto& {
                  return m.images();
                },
                [](const api::Image& image) { return image.id(); }),
            want);
}

}  // namespace
}  // namespace pinion::cri
