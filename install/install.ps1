<#
.SYNOPSIS
Installs aipc for the user who runs this, and for nobody else: no administrator, no Python needed before.

.DESCRIPTION
    powershell -ExecutionPolicy Bypass -File install.ps1 [SOURCE]      install, or bring to what SOURCE has
    powershell -ExecutionPolicy Bypass -File install.ps1 -Uninstall    remove it; models stay

uv (https://docs.astral.sh/uv) does the work. It is taken as it is if it is here, and else fetched into
.local\bin of the user's folder, checked against a hash that stands in this script.

.PARAMETER Source
A wheel or a checkout; left out, it is the checkout that this script lies in. aipc is on no package index
yet: a bare name would fetch what somebody else put there.

.PARAMETER Python
Another Python than 3.12; uv fetches it where it is missing.
#>
[CmdletBinding()]
param(
    [Parameter(Position = 0)] [string] $Source = "",
    [string] $Python = "3.12",
    [switch] $Uninstall
)
Set-StrictMode -Version 2
$ErrorActionPreference = "Stop"
$ProgressPreference = "SilentlyContinue"  # its bar makes downloads many times slower in PowerShell 5

$UvVersion = "0.13.9"
$Files = "https://files.pythonhosted.org/packages"
$Bin = Join-Path $env:USERPROFILE ".local\bin"
$Wheels = @{
    "AMD64" = @{
        Path = "dd/ef/ceeabf3631117f7354787d9fb1ffe943899e59ed4b887a696ed547e47e76/uv-$UvVersion-py3-none-win_amd64.whl"
        Sha256 = "6a44b2ed8111d2f60d2b92627c5dccda3f7ed7570b18ce115e569cd68c28246b"
    }
    "ARM64" = @{
        Path = "da/d1/d97a5db1f27e077e4d6329223f6b3f719c02c97e4092043f13e628558d05/uv-$UvVersion-py3-none-win_arm64.whl"
        Sha256 = "eeb92051c2123b9730c46b04cc843cfa4bc7d7b0aec56df431a2215ef4cb0273"
    }
}

function Find-Uv {
    $found = Get-Command uv -CommandType Application -ErrorAction SilentlyContinue | Select-Object -First 1
    if ($found) { return $found.Source }
    $own = Join-Path $Bin "uv.exe"
    if (Test-Path $own) { return $own }
    return $null
}

function Install-Uv {
    $wheel = $Wheels[$env:PROCESSOR_ARCHITECTURE]
    if (-not $wheel) {
        throw "no uv is known here for $env:PROCESSOR_ARCHITECTURE; install uv yourself, then run this again"
    }
    $scratch = Join-Path ([IO.Path]::GetTempPath()) ([Guid]::NewGuid())
    New-Item -ItemType Directory $scratch | Out-Null
    try {
        Write-Host "fetching uv $UvVersion into $Bin"
        [Net.ServicePointManager]::SecurityProtocol = [Net.SecurityProtocolType]::Tls12
        $zip = Join-Path $scratch "uv.zip"
        Invoke-WebRequest -UseBasicParsing "$Files/$($wheel.Path)" -OutFile $zip
        if ((Get-FileHash $zip -Algorithm SHA256).Hash -ne $wheel.Sha256) {
            throw "what was fetched is not uv $UvVersion"
        }
        Expand-Archive $zip $scratch
        New-Item -ItemType Directory -Force $Bin | Out-Null
        Copy-Item (Join-Path $scratch "uv-$UvVersion.data\scripts\uv.exe") $Bin -Force
    } finally {
        Remove-Item -Recurse -Force $scratch
    }
    return Join-Path $Bin "uv.exe"
}

function Invoke-Uv {
    & $script:Uv @args
    if ($LASTEXITCODE -ne 0) { throw "uv $($args -join ' ') failed" }
}

function Install-Aipc([string] $What) {
    $script:Uv = Find-Uv
    if (-not $script:Uv) { $script:Uv = Install-Uv }
    Invoke-Uv tool install --python $Python --reinstall-package aipc --upgrade $What
    & $script:Uv tool update-shell
    $folder = (& $script:Uv tool dir --bin).Trim()
    & (Join-Path $folder "aipc.exe") --version
    Write-Host "ready, in a new terminal: aipc run `"Hello`""
}

function Uninstall-Aipc {
    $script:Uv = Find-Uv
    if (-not $script:Uv) { throw "uv is not here, so this script has installed no aipc" }
    $program = Join-Path (& $script:Uv tool dir --bin).Trim() "aipc.exe"
    if (Test-Path $program) { & $program service remove }
    Invoke-Uv tool uninstall aipc
    $data = if ($env:AIPC_HOME) { $env:AIPC_HOME } else { Join-Path $env:LOCALAPPDATA "aipc" }
    Write-Host "models stay in '$data'; delete that folder to be rid of them"
    Write-Host "uv stays; 'uv cache clean' empties its cache"
}

if ($Uninstall) {
    Uninstall-Aipc
} elseif ($Source) {
    Install-Aipc $Source
} else {
    $checkout = Split-Path -Parent $PSScriptRoot
    if (-not (Test-Path (Join-Path $checkout "pyproject.toml"))) {
        throw "name a Source: a wheel or a checkout"
    }
    Install-Aipc $checkout
}
