#include "runtime/container_command.h"

#include <gtest/gtest.h>

namespace pinion::runtime {
namespace {

using Words = std::vector<std::string>;

image::ImageConfig Image(Words entrypoint, Words cmd) {
  image::ImageConfig config;
  config.entrypoint = std::move(entrypoint);
  config.cmd = std::move(cmd);
  return config;
}

state::ContainerSpec Spec(const Words& command, const Words& args) {
  state::ContainerSpec spec;
  for (const auto& word : command) spec.add_command(word);
  for (const auto& word : args) spec.add_args(word);
  return spec;
}

TEST(ContainerArgvTest, FollowsKubernetesTable) {
  const image::ImageConfig image = Image({"/ep"}, {"foo", "bar"});
  EXPECT_EQ(*ContainerArgv(Spec({}, {}), image), (Words{"/ep", "foo", "bar"}));
  EXPECT_EQ(*ContainerArgv(Spec({"/x"}, {}), image), (Words{"/x"}));
  EXPECT_EQ(*ContainerArgv(Spec({}, {"zoo"}), image), (Words{"/ep", "zoo"}));
  EXPECT_EQ(*ContainerArgv(Spec({"/x"}, {"zoo"}), image), (Words{"/x", "zoo"}));
}

TEST(ContainerArgvTest, NothingToRunIsRefused) {
  EXPECT_EQ(ContainerArgv(Spec({}, {}), Image({}, {})).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(ContainerArgv(Spec({""}, {}), Image({}, {})).ok());
}

TEST(ContainerEnvTest, LaterWinsInPlaceAndDefaultsFillIn) {
  image::ImageConfig image;
  image.env = {"A=image", "PATH=/image", "B=2=3", "broken", "=x"};
  state::ContainerSpec spec;
  auto* a = spec.add_envs();
  a->set_key("A");
  a->set_value("request");
  auto* c = spec.add_envs();
  c->set_key("C");
  c->set_value("");
  EXPECT_EQ(ContainerEnv(spec, image, "host", "/root"),
            (Words{"A=request", "PATH=/image", "B=2=3", "HOSTNAME=host",
                   "C=", "HOME=/root"}));
}

TEST(ContainerEnvTest, ATerminalHasATypeAndTheRequestMaySayHome) {
  state::ContainerSpec spec;
  spec.set_tty(true);
  auto* home = spec.add_envs();
  home->set_key("HOME");
  home->set_value("/mine");
  const Words env = ContainerEnv(spec, {}, "", "/root");
  EXPECT_EQ(env.at(1), "TERM=xterm");
  EXPECT_EQ(env.back(), "HOME=/mine");
  EXPECT_EQ(env.size(), 3U);
}

TEST(SetDefaultTermTest, KeepsWhatTheContainerHas) {
  Words env = {"PATH=/bin", "TERM=vt100"};
  SetDefaultTerm(env);
  EXPECT_EQ(env, (Words{"PATH=/bin", "TERM=vt100"}));
  env.pop_back();
  env.push_back("TERMINFO=/x");
  SetDefaultTerm(env);
  EXPECT_EQ(env, (Words{"PATH=/bin", "TERMINFO=/x", "TERM=xterm"}));
}

}  // namespace
}  // namespace pinion::runtime
