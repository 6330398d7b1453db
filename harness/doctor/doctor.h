// What this machine has for assay: libraries, Python packages, graphics devices, tools; what is missing and how to get
// it. Not here: the processor and memory (harness/machine), roofs (harness/kernel), printing.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace assay {

struct Finding {
  std::string group, name;
  bool there = false;
  std::string found;  ///< a version, a device's name
  std::string what_for;
  std::string get;  ///< how to get it; empty where it is there, or nobody needs to
};

/// Libraries that this program was linked with, tools, Python packages (in build/venv of the source folder, else
/// python3's), Vulkan devices. Starts python3; loads libvulkan if there is one. Nothing here fails: what cannot be
/// asked is not there.
std::vector<Finding> examine(const std::filesystem::path& source_folder);

struct VulkanDevice {
  std::string name, kind;   ///< kind: discrete, integrated, virtual, cpu, other
  std::string api, driver;  ///< versions
};
/// Devices that libvulkan.so.1 lists; none without it. Nothing is linked: the library is loaded where it is there.
std::vector<VulkanDevice> vulkan_devices();

}  // namespace assay
