// Lists Vulkan's devices without its headers: four functions and two structs of its stable C ABI, loaded at run time.
// Source: vulkan_core.h 1.3 (VkApplicationInfo, VkInstanceCreateInfo, VkPhysicalDeviceProperties).
#include <array>
#include <cstdint>
#include <cstring>

#include <dlfcn.h>

#include <fmt/format.h>

#include "harness/doctor/doctor.h"

namespace assay {
namespace {

struct ApplicationInfo {
  std::int32_t type = 0;  // VK_STRUCTURE_TYPE_APPLICATION_INFO
  const void* next = nullptr;
  const char* application = "assay";
  std::uint32_t application_version = 0;
  const char* engine = nullptr;
  std::uint32_t engine_version = 0;
  std::uint32_t api_version = 1U << 22;  // 1.0
};

struct InstanceCreateInfo {
  std::int32_t type = 1;  // VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO
  const void* next = nullptr;
  std::uint32_t flags = 0;
  const ApplicationInfo* application = nullptr;
  std::uint32_t layers = 0;
  const char* const* layer_names = nullptr;
  std::uint32_t extensions = 0;
  const char* const* extension_names = nullptr;
};

/// The beginning of VkPhysicalDeviceProperties; limits follow, 824 bytes in all on 64-bit machines.
struct DeviceProperties {
  std::uint32_t api, driver, vendor, device;
  std::int32_t kind;
  char name[256];
  unsigned char rest[1024];
};

using Handle = void*;
using GetProc = void (*(*)(Handle, const char*))();

template <class Function>
Function proc(GetProc get, Handle instance, const char* name) {
  return reinterpret_cast<Function>(get(instance, name));
}

std::string version_text(std::uint32_t version) {
  return fmt::format("{}.{}.{}", version >> 22 & 0x7f, version >> 12 & 0x3ff, version & 0xfff);
}

}  // namespace

std::vector<VulkanDevice> vulkan_devices() {
  static void* const library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);  // drivers do not like to be unloaded
  if (library == nullptr) return {};
  const auto get = reinterpret_cast<GetProc>(dlsym(library, "vkGetInstanceProcAddr"));
  if (get == nullptr) return {};
  const auto create =
      proc<std::int32_t (*)(const InstanceCreateInfo*, const void*, Handle*)>(get, nullptr, "vkCreateInstance");
  const ApplicationInfo application;
  InstanceCreateInfo info;
  info.application = &application;
  Handle instance = nullptr;
  if (create == nullptr || create(&info, nullptr, &instance) != 0) return {};
  const auto destroy = proc<void (*)(Handle, const void*)>(get, instance, "vkDestroyInstance");
  const auto list =
      proc<std::int32_t (*)(Handle, std::uint32_t*, Handle*)>(get, instance, "vkEnumeratePhysicalDevices");
  const auto describe = proc<void (*)(Handle, DeviceProperties*)>(get, instance, "vkGetPhysicalDeviceProperties");
  std::vector<VulkanDevice> devices;
  std::array<Handle, 16> handles{};
  std::uint32_t count = handles.size();
  if (list != nullptr && describe != nullptr && list(instance, &count, handles.data()) >= 0) {
    constexpr std::array<const char*, 5> kKinds = {"other", "integrated", "discrete", "virtual", "cpu"};
    for (std::uint32_t i = 0; i < count; ++i) {
      DeviceProperties found{};
      describe(handles[i], &found);
      devices.push_back({.name = std::string(found.name, strnlen(found.name, sizeof found.name)),
                         .kind = kKinds[found.kind >= 0 && found.kind < 5 ? std::size_t(found.kind) : 0],
                         .api = version_text(found.api),
                         .driver = version_text(found.driver)});
    }
  }
  if (destroy != nullptr) destroy(instance, nullptr);
  return devices;
}

}  // namespace assay
