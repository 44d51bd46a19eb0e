{
  'variables': {
    # Built by cargo before this; see scripts/build-native.mjs.
    'rust_release': '<(module_root_dir)/native/rust/aead/target/release',
    'rust_target%': '',
  },
  'targets': [
    {
      'target_name': 'cryptotensors',
      'sources': [
        '<!@(node native/sources.cjs)',
      ],
      'include_dirs': [
        '<!(node -p "require(\'node-addon-api\').include_dir")',
        'native/rust/aead/include',
      ],
      'cflags!': ['-fno-exceptions'],
      'cflags_cc!': ['-fno-exceptions', '-fno-rtti', '-std=gnu++17', '-std=gnu++20'],
      'cflags': ['-fvisibility=hidden', '-fstack-protector-strong', '-Wall', '-Wextra', '-Werror'],
      'cflags_cc': ['-std=c++20', '-fvisibility-inlines-hidden', '-O3'],
      'conditions': [
        [
          'OS=="linux"',
          {
            'defines': ['_FORTIFY_SOURCE=2'],
            'libraries': ['<(rust_release)/libcryptotensors_aead.a', '-ldl', '-lpthread'],
            'ldflags': [
              '-Wl,-z,relro,-z,now',
              '-Wl,-z,noexecstack',
              '-Wl,--gc-sections',
              '-Wl,--version-script=<(module_root_dir)/native/binding/exports.map',
            ],
            'configurations': {'Release': {'ldflags': ['-s']}},
          },
        ],
        [
          'OS=="mac"',
          {
            'libraries': ['<(rust_release)/libcryptotensors_aead.a'],
            'xcode_settings': {
              'CLANG_CXX_LANGUAGE_STANDARD': 'c++20',
              'CLANG_CXX_LIBRARY': 'libc++',
              'GCC_ENABLE_CPP_EXCEPTIONS': 'YES',
              'GCC_ENABLE_CPP_RTTI': 'YES',
              'GCC_OPTIMIZATION_LEVEL': '3',
              'GCC_SYMBOLS_PRIVATE_EXTERN': 'YES',
              'MACOSX_DEPLOYMENT_TARGET': '11.0',
              'OTHER_CFLAGS': ['-fstack-protector-strong', '-Wall', '-Wextra', '-Werror'],
              'OTHER_LDFLAGS': [
                '-Wl,-exported_symbol,_napi_register_module_v1',
                '-Wl,-exported_symbol,_node_api_module_get_api_version_v1',
              ],
            },
          },
        ],
        [
          'OS=="win"',
          {
            'libraries': ['<(rust_release)/cryptotensors_aead.lib', 'ntdll.lib', 'userenv.lib', 'ws2_32.lib', 'bcrypt.lib'],
            'msvs_settings': {
              'VCCLCompilerTool': {
                'AdditionalOptions': ['/std:c++20', '/W4', '/guard:cf'],
                'ExceptionHandling': 1,
                'RuntimeTypeInfo': 'true',
              },
              'VCLinkerTool': {'AdditionalOptions': ['/guard:cf', '/DYNAMICBASE', '/NXCOMPAT']},
            },
            'defines': ['_HAS_EXCEPTIONS=1'],
          },
        ],
      ],
    },
  ],
}
