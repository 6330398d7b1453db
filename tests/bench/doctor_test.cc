#include "harness/doctor/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay {
namespace {

const Finding* find(const std::vector<Finding>& findings, const std::string& name) {
  for (const Finding& finding : findings)
    if (finding.name == name) return &finding;
  return nullptr;
}

TEST(Doctor, FindsWhatTheBuildNeededAndSaysHowToGetTheRest) {
  const std::vector<Finding> findings = examine("/no/such/folder");
  for (const char* name : {"c++", "nm", "ninja", "python"}) {
    const Finding* finding = find(findings, name);
    ASSERT_NE(finding, nullptr) << name;
    EXPECT_TRUE(finding->there) << name;
    EXPECT_NE(finding->found, "") << name;
  }
  for (const Finding& finding : findings) {
    EXPECT_NE(finding.what_for, "") << finding.name;
    EXPECT_EQ(finding.there, !finding.found.empty()) << finding.name;
    if (finding.there) {
      EXPECT_EQ(finding.get, "") << finding.name;
    }
  }
  EXPECT_TRUE(find(findings, "FFmpeg") != nullptr && find(findings, "HDF5") != nullptr);
}

TEST(Doctor, VulkanDevicesHaveNamesAndVersions) {
  for (const VulkanDevice& device : vulkan_devices()) {  // none where there is no library
    EXPECT_NE(device.name, "");
    EXPECT_THAT(device.api, testing::ContainsRegex("^1\\.[0-9]+\\.[0-9]+$"));
  }
}

}  // namespace
}  // namespace assay
