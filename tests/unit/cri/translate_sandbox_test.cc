#include "cri/translate_sandbox.h"

#include "tests/unit/cri/requests.h"
#include "tests/unit/cri/translate_cases.h"

namespace pinion::cri {
namespace {

using Request = api::RunPodSandboxRequest;

api::LinuxSandboxSecurityContext& Security(Request& request) {
  return *request.mutable_config()->mutable_linux()->mutable_security_context();
}

TEST(TranslateSandboxTest, CarriesEveryField) {
  Request request = PodRequest();
  request.set_runtime_handler("fast");
  Security(request).set_privileged(true);
  const auto spec = ToPodSpec(request);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->name(), "web-0");
  EXPECT_EQ(spec->uid(), request.config().metadata().uid());
  EXPECT_EQ(spec->namespace_(), "shop");
  EXPECT_EQ(spec->attempt(), 1u);
  EXPECT_EQ(spec->hostname(), "web-0");
  EXPECT_EQ(spec->log_directory(), request.config().log_directory());
  EXPECT_EQ(spec->dns().servers(0), "10.96.0.10");
  EXPECT_EQ(spec->dns().searches(0), "shop.svc.cluster.local");
  EXPECT_EQ(spec->dns().options(0), "ndots:5");
  EXPECT_EQ(spec->port_mappings(0).container_port(), 8080u);
  EXPECT_EQ(spec->labels().at("app"), "web");
  EXPECT_EQ(spec->annotations().at("example.org/note"),
            "line 1\nline 2 \xC3\xBC");
  EXPECT_EQ(spec->runtime_handler(), "fast");
  EXPECT_EQ(spec->cgroup_parent(), "kubepods-burstable-pod7b8b3a3e.slice");
  EXPECT_EQ(spec->sysctls().at("net.ipv4.ip_unprivileged_port_start"), "0");
  EXPECT_EQ(spec->namespaces().pid(), state::NAMESPACE_CONTAINER);
  EXPECT_TRUE(spec->privileged());
  EXPECT_EQ(spec->resources().cpu_shares(), 512);
  EXPECT_TRUE(spec->has_overhead());
}

TEST(TranslateSandboxTest, WithoutDnsTheNodesResolverStays) {
  Request request = PodRequest();
  request.mutable_config()->clear_dns_config();
  EXPECT_FALSE(ToPodSpec(request)->has_dns());
}

TEST(TranslateSandboxTest, RefusesBadIdentity) {
  ExpectRefused<Request>(
      PodRequest(), ToPodSpec,
      {
          {"config: must be set", [](auto& r) { r.clear_config(); }},
          {"config.metadata: must be set",
           [](auto& r) { r.mutable_config()->clear_metadata(); }},
          {"config.metadata.name: must not be empty",
           [](auto& r) {
             r.mutable_config()->mutable_metadata()->clear_name();
           }},
          {"config.metadata.name",
           [](auto& r) {
             r.mutable_config()->mutable_metadata()->set_name(
                 std::string(254, 'a'));
           }},
          {"config.metadata.name \"../x\"",
           [](auto& r) {
             r.mutable_config()->mutable_metadata()->set_name("../x");
           }},
          {"config.metadata.uid \"a/b\"",
           [](auto& r) {
             r.mutable_config()->mutable_metadata()->set_uid("a/b");
           }},
          {"config.metadata.uid: must not be empty",
           [](auto& r) {
             r.mutable_config()->mutable_metadata()->clear_uid();
           }},
          {"config.metadata.namespace: must not be empty",
           [](auto& r) {
             r.mutable_config()->mutable_metadata()->clear_namespace_();
           }},
          {"config.metadata.namespace",
           [](auto& r) {
             r.mutable_config()->mutable_metadata()->set_namespace_(
                 std::string(64, 'n'));
           }},
          {"config.windows",
           [](auto& r) { r.mutable_config()->mutable_windows(); }},
          {"runtime_handler",
           [](auto& r) { r.set_runtime_handler(std::string(300, 'h')); }},
      });
}

TEST(TranslateSandboxTest, RefusesOversizeLabelsAndAnnotations) {
  ExpectRefused<Request>(
      PodRequest(), ToPodSpec,
      {
          {"config.labels: a key must not be empty",
           [](auto& r) { (*r.mutable_config()->mutable_labels())[""] = "x"; }},
          {"config.labels",
           [](auto& r) {
             (*r.mutable_config()->mutable_labels())[std::string(513, 'k')] =
                 "";
           }},
          {"config.labels",
           [](auto& r) {
             (*r.mutable_config()->mutable_labels())["k"] =
                 std::string(4097, 'v');
           }},
          {"config.labels",
           [](auto& r) {
             (*r.mutable_config()->mutable_labels())["a\nb"] = "";
           }},
          {"config.labels: must have at most",
           [](auto& r) {
             for (int i = 0; i < 80; ++i) {
               (*r.mutable_config()->mutable_labels())[std::to_string(i)] =
                   std::string(4000, 'v');
             }
           }},
          {"config.annotations",
           [](auto& r) {
             (*r.mutable_config()->mutable_annotations())["k"] =
                 std::string(2 << 20, 'v');
           }},
      });
}

TEST(TranslateSandboxTest, RefusesPathsThatLeaveTheirPlace) {
  ExpectRefused<Request>(
      PodRequest(), ToPodSpec,
      {
          {"config.log_directory \"logs\"",
           [](auto& r) { r.mutable_config()->set_log_directory("logs"); }},
          {"config.log_directory \"/a/../b\"",
           [](auto& r) { r.mutable_config()->set_log_directory("/a/../b"); }},
          {"config.linux.cgroup_parent \"/a/../..\"",
           [](auto& r) {
             r.mutable_config()->mutable_linux()->set_cgroup_parent("/a/../..");
           }},
          {"config.linux.cgroup_parent",
           [](auto& r) {
             r.mutable_config()->mutable_linux()->set_cgroup_parent(
                 "a\n.slice");
           }},
      });
}

TEST(TranslateSandboxTest, RefusesSysctlsThatAreNoDottedNames) {
  std::vector<RefusedCase<Request>> cases;
  for (const std::string name :
       {"", "kernel", "net/ipv4/ip_forward", "net.ipv4/../x", ".net.x",
        "net.x.", "net..x", "net.x+y", "net.x y"}) {
    cases.push_back(
        {"config.linux.sysctls", [name](auto& r) {
           (*r.mutable_config()->mutable_linux()->mutable_sysctls())[name] =
               "1";
         }});
  }
  cases.push_back({"must not be empty", [](auto& r) {
                     (*r.mutable_config()
                           ->mutable_linux()
                           ->mutable_sysctls())["kernel.sem"] = "";
                   }});
  cases.push_back({"must be one line", [](auto& r) {
                     (*r.mutable_config()
                           ->mutable_linux()
                           ->mutable_sysctls())["kernel.sem"] = "1\n2";
                   }});
  ExpectRefused<Request>(PodRequest(), ToPodSpec, cases);
}

TEST(TranslateSandboxTest, RefusesIllegalNamespaces) {
  ExpectRefused<Request>(
      PodRequest(), ToPodSpec,
      {
          {"namespace_options.network",
           [](auto& r) {
             Security(r).mutable_namespace_options()->set_network(
                 api::CONTAINER);
           }},
          {"namespace_options.ipc",
           [](auto& r) {
             Security(r).mutable_namespace_options()->set_ipc(api::TARGET);
           }},
          {"namespace_options.pid",
           [](auto& r) {
             Security(r).mutable_namespace_options()->set_pid(api::TARGET);
           }},
          {"namespace_options.pid",
           [](auto& r) {
             Security(r).mutable_namespace_options()->set_pid(
                 static_cast<api::NamespaceMode>(9));
           }},
          {"namespace_options.target_id",
           [](auto& r) {
             Security(r).mutable_namespace_options()->set_target_id("abc");
           }},
          {"userns_options.uids: must map container_id 0",
           [](auto& r) {
             Security(r)
                 .mutable_namespace_options()
                 ->mutable_userns_options()
                 ->set_mode(api::POD);
           }},
          {"userns_options.gids: must map container_id 0",
           [](auto& r) {
             api::UserNamespace* userns = Security(r)
                                              .mutable_namespace_options()
                                              ->mutable_userns_options();
             userns->set_mode(api::POD);
             userns->add_uids()->set_length(65536);
             userns->add_gids()->set_length(65536);
             userns->mutable_gids(0)->set_container_id(1);
           }},
          {"userns_options.mode",
           [](auto& r) {
             Security(r)
                 .mutable_namespace_options()
                 ->mutable_userns_options()
                 ->set_mode(api::TARGET);
           }},
          {"userns_options: mode NODE takes no mappings",
           [](auto& r) {
             api::UserNamespace* userns = Security(r)
                                              .mutable_namespace_options()
                                              ->mutable_userns_options();
             userns->set_mode(api::NODE);
             userns->add_uids()->set_length(1);
           }},
      });
}

TEST(TranslateSandboxTest, RefusesIllegalSandboxSecurity) {
  ExpectRefused<Request>(
      PodRequest(), ToPodSpec,
      {
          {"security_context.run_as_user -1",
           [](auto& r) { Security(r).mutable_run_as_user()->set_value(-1); }},
          {"security_context.run_as_group 5: needs run_as_user",
           [](auto& r) { Security(r).mutable_run_as_group()->set_value(5); }},
          {"supplemental_groups[0]",
           [](auto& r) { Security(r).add_supplemental_groups(1LL << 40); }},
          {"seccomp.localhost_ref",
           [](auto& r) {
             Security(r).mutable_seccomp()->set_localhost_ref("/x");
           }},
          {"linux.resources.cpu_period",
           [](auto& r) {
             r.mutable_config()
                 ->mutable_linux()
                 ->mutable_resources()
                 ->set_cpu_period(1);
           }},
          {"linux.overhead.cpu_quota",
           [](auto& r) {
             r.mutable_config()
                 ->mutable_linux()
                 ->mutable_overhead()
                 ->set_cpu_quota(5);
           }},
      });
}

TEST(TranslateSandboxTest, HostPortsAreForEitherNetwork) {
  Request request = PodRequest();
  auto* mapping = request.mutable_config()->mutable_port_mappings(0);
  mapping->set_host_port(80);
  mapping->set_host_ip("::1");
  for (const auto network : {api::POD, api::NODE}) {
    Security(request).mutable_namespace_options()->set_network(network);
    const auto spec = ToPodSpec(request);
    ASSERT_TRUE(spec.ok()) << spec.status();
    EXPECT_EQ(spec->port_mappings(0).host_port(), 80u);
    EXPECT_EQ(spec->port_mappings(0).host_ip(), "::1");
  }
}

TEST(TranslateSandboxTest, AcceptsTheLeastARequestMaySay) {
  Request request;
  request.mutable_config()->mutable_metadata()->set_name("a");
  request.mutable_config()->mutable_metadata()->set_uid("b");
  request.mutable_config()->mutable_metadata()->set_namespace_("c");
  EXPECT_TRUE(ToPodSpec(request).ok()) << ToPodSpec(request).status();
  Security(request)
      .mutable_namespace_options()
      ->mutable_userns_options()
      ->set_mode(api::NODE);
  EXPECT_TRUE(ToPodSpec(request).ok());
}

}  // namespace
}  // namespace pinion::cri
